"""The wheel holds what git tracks, no more and no less, and an installed papergen finds its templates."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from papergen.core.shipped_files import shipped

ROOT = Path(__file__).resolve().parents[1]


def tracked() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_wheel_equals_what_git_tracks(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for name in tracked():
        top = name.split("/")[0]
        if top == "papergen":
            expected.add(name)
        elif top in {"templates", "experiments"}:
            expected.add(f"papergen/{name}")
    assert names == expected
    assert "papergen/py.typed" in names, "type checkers read the annotations only of a package that says so"


def test_installed_wheel_finds_templates_and_experiments(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import papergen, sys; from papergen.core.shipped_files import shipped;"
        "assert papergen.__file__.startswith(sys.argv[1]);"
        "print(shipped('templates')); print(shipped('experiments'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    for folder in done.stdout.splitlines():
        assert folder.startswith(str(tmp_path / "site" / "papergen"))


def test_checkout_finds_templates_and_experiments() -> None:
    assert (shipped("templates") / "twocolumn" / "template.yaml").is_file()
    assert (shipped("experiments") / "training.py").is_file()


def test_constraints_pin_the_cpu_torch_and_pyproject_keeps_a_range() -> None:
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch>=2.7" in project["dependencies"]
    assert project["requires-python"] == ">=3.11,<3.14"
