"""One contract over every launcher: what `local` promises, `spawn` and `torchrun` keep as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import QUICK, Lab, run_job
from test_local import DDP

from papergen.errors import PapergenError
from papergen.launch.choose import LAUNCHERS, choose_launcher
from papergen.launch.supervisor import Supervisor
from papergen.runs import Run

WAIT = "time.sleep(1000)"


@pytest.fixture(
    params=[pytest.param(name, marks=() if name == "local" else pytest.mark.slow) for name in sorted(LAUNCHERS)]
)
def any_launcher(request: pytest.FixtureRequest, mark: str) -> Iterator[Supervisor]:
    with LAUNCHERS[request.param](limits=QUICK) as launcher:
        yield launcher


def test_the_fittest_is_chosen_with_a_reason() -> None:
    launcher, reason = choose_launcher("auto")
    assert launcher.name == "local"
    assert reason
    assert choose_launcher("torchrun") == (LAUNCHERS["torchrun"], "asked for")
    with pytest.raises(PapergenError, match=r"--launcher torchrum: there is no such launcher. Did you mean torchrun\?"):
        choose_launcher("torchrum")


def test_ranks_compute_together(lab: Lab, any_launcher: Supervisor) -> None:
    body = DDP.replace('assert "torch" in sys.modules', "")
    events, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is None, ended.failure
    outcome = json.loads(Run(ended.job.folder).outcome_file.read_text())
    assert outcome["metrics"] == {"score": 3.0}
    assert ended.machine["backend"] == "gloo"
    assert [event.kind for event in events] == ["log"]


def test_a_rank_that_raises_is_named(lab: Lab, any_launcher: Supervisor) -> None:
    body = f"if ctx.rank == 1:\n    print('told', flush=True)\n    raise ValueError('a fault')\n{WAIT}"
    _, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (1, "ValueError: a fault")
    assert "kind1.py" in ended.failure.traceback
    assert Path(ended.failure.log).read_text().startswith("told\n")


def test_a_killed_rank_is_named_with_its_signal(lab: Lab, any_launcher: Supervisor) -> None:
    body = f"if ctx.rank == 1:\n    os.kill(os.getpid(), signal.SIGKILL)\n{WAIT}"
    _, ended = run_job(any_launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (1, "killed by SIGKILL (out of memory?)")


def test_a_rank_that_hangs_is_ended(lab: Lab, any_launcher: Supervisor) -> None:
    body = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '1000'])\n{WAIT}"
    _, ended = run_job(any_launcher, lab.job(body, num_ranks=2, time_limit_s=1.0))
    assert ended.failure is not None
    assert ended.failure.cause == "ran longer than its time limit of 1 s"


def test_leaving_the_block_ends_a_running_trial(lab: Lab, any_launcher: Supervisor) -> None:
    job = lab.job(f'(ctx.folder / f"ready{{ctx.rank}}").touch()\n{WAIT}', num_ranks=2)
    any_launcher.submit(job)
    while len(list(job.folder.glob("ready*"))) < 2:
        any_launcher.wait(timeout_s=0.1)


def test_a_trial_that_cannot_start_says_why(lab: Lab, any_launcher: Supervisor) -> None:
    job = lab.job("pass")
    job.recipe_path.write_text("def run(:\n", encoding="utf-8")
    _, ended = run_job(any_launcher, job)
    assert ended.failure is not None
    assert "kind1.py:1: " in ended.failure.cause
