"""Everything here needs root and is run by `make test-cluster`; without what it needs it skips with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import slurmlab
import twohosts
from interrupted import SLURM, make_project, result_of
from lab import Lab
from lab_fixtures import lab, mark

from papergen.execution.launchers.slurm.launcher import SlurmLauncher

__all__ = ["lab", "mark"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_asked_for = "cluster" in config.option.markexpr or any("cluster" in Path(word).parts for word in config.args)
    for item in items:
        if "/tests/cluster/" in str(item.path):
            item.add_marker(pytest.mark.cluster)
            if not is_asked_for:
                item.add_marker(pytest.mark.skip(reason="boots SLURM and network namespaces: make test-cluster"))


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real SLURM with two nodes, for all tests that want it; SLURM_CONF names it."""
    if reason := slurmlab.why_not():
        pytest.skip(reason)
    before = os.environ.get("SLURM_CONF")
    with slurmlab.booted(tmp_path_factory.mktemp("slurm") / "up") as conf:
        os.environ["SLURM_CONF"] = str(conf)
        try:
            yield conf
        finally:
            if before is None:
                del os.environ["SLURM_CONF"]
            else:
                os.environ["SLURM_CONF"] = before


@pytest.fixture(scope="session")
def hosts() -> Iterator[tuple[str, str]]:
    """Two network namespaces with a cable between them."""
    if reason := twohosts.why_not():
        pytest.skip(reason)
    with twohosts.two_hosts() as names:
        yield names


@pytest.fixture(scope="session")
def whole(slurm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose training nobody interrupted."""
    project = make_project(tmp_path_factory.mktemp("whole") / "paper")
    told, _ = (run := twohosts.run_exp(None, project, *SLURM)).communicate(timeout=300)
    assert run.returncode == 0, told
    assert "resumed_from_step" not in result_of(project)["outcome"]["facts"]
    return project


@pytest.fixture
def launcher(slurm: Path, lab: Lab, mark: str) -> Iterator[SlurmLauncher]:
    with SlurmLauncher(lab.project, slurmlab.FAST, lag_s=1.0) as launcher:
        yield launcher
