"""A real package, built and installed by pip, brings an experiment kind by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import FAKE_KIND, make_project

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "dice-lab"
version = "1.2.3"
[project.entry-points."papergen.experiments"]
dice = "dice_lab.kinds"
[tool.hatch.build.targets.wheel]
packages = ["dice_lab"]
"""

KIND = FAKE_KIND.replace("FACTOR = 2", "from dice_lab.factors import FACTOR")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package was installed to."""
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(PYPROJECT)
    package = source / "dice_lab"
    (package / "kinds").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "kinds" / "__init__.py").touch()
    (package / "factors.py").write_text("FACTOR = 6\n")
    (package / "kinds" / "dice.py").write_text(KIND)
    target = tmp_path_factory.mktemp("site packages")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def dice(tmp_path: Path) -> Path:
    project = make_project(tmp_path / "paper")
    (project / "experiments" / "fake.py").unlink()
    (project / "experiments" / "first.yaml").write_text("kind: dice\nseeds: [0]\nsize: 2\n")
    return project


def papergen(project: Path, plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "papergen", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(plugin)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_kind_of_an_installed_package_runs(dice: Path, plugin: Path) -> None:
    done = papergen(dice, plugin, "run-exp")
    assert done.returncode == 0, done.stderr
    assert "first/main seed 0  loss 1.5  score 12" in papergen(dice, plugin, "results").stdout
    absent = papergen(dice, dice, "status")
    assert "there is no experiment kind 'dice'" in absent.stderr


def test_the_same_name_twice_names_both_files(dice: Path, plugin: Path) -> None:
    (dice / "experiments" / "dice.py").write_text(KIND)
    done = papergen(dice, plugin, "status")
    assert done.returncode == 2
    assert str(dice / "experiments" / "dice.py") in done.stderr
    assert "dice_lab/kinds/dice.py" in done.stderr


def test_an_entry_point_that_leads_nowhere_is_named(dice: Path, plugin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other" / "gone-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[papergen.experiments]\nx = gone.kinds\n")
    done = papergen(dice, folder.parent, "status")
    assert done.returncode == 2
    assert "the entry point x of gone: gone.kinds cannot be found" in done.stderr
