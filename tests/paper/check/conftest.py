"""A finished paper, its experiment run once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from checklab import make_paper
from commands import papergen


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper that the tests copy."""
    folder = make_paper(tmp_path_factory.mktemp("check") / "my paper 论文")
    done = papergen("run-exp", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def paper(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / finished.name))
