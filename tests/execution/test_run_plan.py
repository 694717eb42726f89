"""What a run-exp is to run and on what: the road of an option from the command line to the settings of a rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from papergen.core.errors import PapergenError
from papergen.execution.devices import num_cores
from papergen.execution.run_plan import RunPlan, plan_run, seeds_of
from papergen.execution.settings import RunOptions
from papergen.execution.worker.spec import RankSpec
from papergen.experiment.project import open_project


def plan(project: Path, **options: Any) -> RunPlan:
    asked = {"join_timeout_s": 300.0, "hang_timeout_s": 8.0, "device": "cpu", "launcher": "local", **options}
    return plan_run(open_project(project), RunOptions(**asked))


def test_every_option_and_launch_yaml_meet_in_one_object(project: Path) -> None:
    (project / "launch.yaml").write_text("jobs: 3\npartition: gpu\nlauncher: spawn\n")
    found = plan(
        project,
        launch=("account=abc",),
        jobs=2,
        retries=4,
        time_limit_s=100.0,
        memory_limit_gib=1.5,
        hang_timeout_s=0.0,
        fail_fast=True,
    ).settings
    assert (found.launcher, found.jobs, found.partition, found.account) == ("local", 2, "gpu", "abc")
    assert (found.device, found.num_cores) == ("cpu", max(1, num_cores() // 2))
    assert (found.retries, found.time_limit_s, found.memory_limit_gib, found.fail_fast) == (4, 100.0, 1.5, True)
    assert found.timeouts.hang_s == 0.0
    assert plan(project).settings.jobs == 3, "launch.yaml counts where no option says otherwise"


def test_a_rank_is_told_the_settings_whole(project: Path) -> None:
    settings = plan(project, retries=1, time_limit_s=5.0).settings
    spec = RankSpec(
        job="job1",
        folder="/f",
        scratch="/s",
        kind_file="/k.py",
        project="/p",
        upstream={},
        settings=settings,
        num_threads=settings.num_threads(2),
    )
    assert RankSpec.from_json(spec.to_json()) == spec


def test_the_plan_in_lines_and_for_a_script(project: Path) -> None:
    found = plan(project, only=("large",))
    lines = found.lines()
    assert [line.split()[0] for line in lines[:-1]] == ["run"] * len(found.to_run)
    assert lines[-1] == f"{len(found.to_run)} of {len(found.needed)} trials would be run."
    assert all(event["event"] == "planned" and event["is_run"] for event in found.to_json())
    assert found.announcement() == f"{len(found.to_run)} trials to run ({len(found.to_run)} new)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rdzv_endpoint": "h:1"}, "are for several machines: add --nnodes 2"),
        ({"num_nodes": 2}, "--nnodes 2: the machines need a place to meet"),
        (
            {"num_nodes": 2, "rdzv_endpoint": "10.0.0.1:29500", "max_restarts": 1},
            "--max-restarts 1 restarts the ranks of one machine, not of --nnodes 2",
        ),
        ({"launch": ("jobs=0",)}, "jobs"),
        ({"launcher": "locale"}, "Did you mean local"),
    ],
)
def test_what_makes_no_sense_together_is_refused(project: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PapergenError, match=message):
        plan(project, **options)


def test_seeds() -> None:
    assert seeds_of(None) is None
    assert seeds_of("0,3") == [0, 3]
    for text, message in (("0;1", "write whole numbers with commas"), ("1,1", "a seed stands twice")):
        with pytest.raises(PapergenError, match=message):
            seeds_of(text)
