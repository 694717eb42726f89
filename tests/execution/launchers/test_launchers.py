"""One contract over every launcher: what `local` promises, `spawn` and `torchrun` keep as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from lab import DDP, QUICK, Lab, quick, run_job

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.launcher import Launcher
from papergen.execution.launchers.choose import GROUP, choose_launcher, launchers, load_launcher
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.settings import LaunchSettings, RunSettings
from papergen.store.runs import Run

WAIT = "time.sleep(1000)"


@pytest.fixture(
    params=[
        "local",
        pytest.param("spawn", marks=pytest.mark.slow),
        pytest.param("torchrun", marks=pytest.mark.slow),
    ]
)
def any_launcher(request: pytest.FixtureRequest, mark: str, lab: Lab) -> Iterator[Launcher]:
    with load_launcher(request.param).from_settings(lab.project, QUICK) as launcher:
        yield launcher


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papergen.execution.launchers.slurm.client.why_not", lambda: "sbatch is not installed here")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.mark.usefixtures("no_cluster")
def test_the_fittest_is_chosen_with_a_reason() -> None:
    launcher, reason = choose_launcher("auto")
    assert launcher.name == "local"
    assert reason
    assert choose_launcher("torchrun") == (load_launcher("torchrun"), "asked for")
    with pytest.raises(PapergenError, match=r"--launcher torchrum: there is no such launcher. Did you mean torchrun\?"):
        choose_launcher("torchrum")
    with pytest.raises(MachineError, match="--launcher slurm: sbatch is not installed here"):
        choose_launcher("slurm")


@pytest.mark.usefixtures("no_cluster")
def test_several_machines_are_joined_by_torchrun() -> None:
    assert choose_launcher("auto", num_nodes=2) == (load_launcher("torchrun"), "--nnodes 2")
    with pytest.raises(PapergenError, match="the launcher local does not join machines itself"):
        choose_launcher("local", num_nodes=2)


@pytest.mark.parametrize("name", sorted(launchers()))
def test_every_registered_launcher_keeps_the_interface(name: str, lab: Lab, mark: str) -> None:
    launcher = load_launcher(name)
    assert launcher.name == name
    fitness = launcher.fitness()
    assert fitness.score >= 0
    assert fitness.reason
    assert launcher.device("cpu", LaunchSettings())[0] == "cpu"
    with launcher.from_settings(lab.project, RunSettings()) as made:
        job = lab.job("pass")
        assert made.has_room(1)
        assert not made.holds(job.trial)
        assert list(made.wait(timeout_s=0.0)) == [], "nothing runs, so there is nothing to wait for"


class Other(LocalLauncher):
    name = "other"


def test_an_installed_package_brings_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", f"{__name__}:Other", GROUP)
    monkeypatch.setattr("papergen.execution.launchers.choose.entry_points", lambda group: [point])
    monkeypatch.setattr(EntryPoint, "load", lambda _: Other)
    assert "other" in launchers()
    assert choose_launcher("other") == (Other, "asked for")


def test_two_launchers_of_one_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("local", "elsewhere:Launcher", GROUP)
    monkeypatch.setattr("papergen.execution.launchers.choose.entry_points", lambda group: [point])
    with pytest.raises(
        PapergenError, match=r"two launchers named local: papergen.execution.launchers.local:LocalLauncher and else"
    ):
        launchers()


def test_ranks_compute_together(lab: Lab, any_launcher: Launcher) -> None:
    body = DDP.replace('assert "torch" in sys.modules', "")
    events, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is None, ended.failure
    outcome = json.loads(Run(ended.job.folder).outcome_file.read_text())
    assert outcome["metrics"] == {"score": 3.0}
    assert ended.machine["backend"] == "gloo"
    assert [event.kind for event in events] == ["log"]


def test_a_rank_that_raises_is_named(lab: Lab, any_launcher: Launcher) -> None:
    body = f"if ctx.rank == 1:\n    print('told', flush=True)\n    raise ValueError('a fault')\n{WAIT}"
    _, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (1, "ValueError: a fault")
    assert "kind1.py" in ended.failure.traceback
    assert Path(ended.failure.log).read_text().startswith("told\n")


def test_a_killed_rank_is_named_with_its_signal(lab: Lab, any_launcher: Launcher) -> None:
    body = f"if ctx.rank == 1:\n    os.kill(os.getpid(), signal.SIGKILL)\n{WAIT}"
    _, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (1, "killed by SIGKILL (out of memory?)")


def test_a_rank_that_hangs_is_ended(lab: Lab, any_launcher: Launcher) -> None:
    body = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '1000'])\n{WAIT}"
    with any_launcher.from_settings(lab.project, quick(time_limit_s=1.0)) as launcher:
        _, ended = run_job(launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert ended.failure.cause == "ran longer than its time limit of 1 s"


def test_leaving_the_block_ends_a_running_trial(lab: Lab, any_launcher: Launcher) -> None:
    job = lab.job(f'(ctx.folder / f"ready{{ctx.rank}}").touch()\n{WAIT}', num_ranks=2)
    any_launcher.submit(job)
    while len(list(job.folder.glob("ready*"))) < 2:
        any_launcher.wait(timeout_s=0.1)


def test_a_trial_that_cannot_start_says_why(lab: Lab, any_launcher: Launcher) -> None:
    job = lab.job("pass")
    job.kind_file.write_text("def run(:\n", encoding="utf-8")
    _, ended = run_job(any_launcher, job)
    assert ended.failure is not None
    assert "kind1.py:1: " in ended.failure.cause
