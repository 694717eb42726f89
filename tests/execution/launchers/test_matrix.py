"""Every launcher that starts ranks here against the whole fault matrix, and against the ends of papergen itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import matrix
import pytest
from lab import Lab, wait_until_gone

from papergen.execution.launchers.choose import load_launcher
from papergen.execution.settings import RunSettings

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("spawn", "torchrun")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", "spawn", "torchrun"])
def test_every_fault_ends_its_trial_in_time_by_name_and_no_other(name: str, lab: Lab, mark: str) -> None:
    with load_launcher(name).from_settings(lab.project, RunSettings(jobs=3)) as launcher:
        matrix.check(launcher, lab)


DRIVER = """
import signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from lab import Lab
from papergen.execution.settings import RunSettings
from papergen.execution.launchers.choose import load_launcher

if __name__ == "__main__":
    if {is_background}:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    lab = Lab(Path({project!r}))
    try:
        with load_launcher({name!r}).from_settings(lab.project, RunSettings()) as launcher:
            launcher.submit(lab.job({body!r}, num_ranks=2, preload={preload!r}))
            while True:
                launcher.wait()
    except KeyboardInterrupt:
        sys.exit(130)
"""

BODY = """
subprocess.Popen(["sleep", "1000"])
(ctx.project / f"ready{ctx.rank}").touch()
time.sleep(1000)
"""


def start(
    tmp_path: Path, name: str, *, preload: tuple[str, ...] = (), is_background: bool = False
) -> tuple[subprocess.Popen[bytes], Path]:
    """A papergen of its own with one trial under way; `is_background`: as `nohup ... &` starts it, Ctrl-C ignored."""
    project, script = tmp_path / "driven", tmp_path / "driver.py"
    filled = DRIVER.format(
        here=str(Path(__file__).parents[1]),
        project=str(project),
        name=name,
        body=textwrap.dedent(BODY),
        preload=list(preload),
        is_background=is_background,
    )
    script.write_text(filled)
    driver = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    if not preload:
        for rank in range(2):
            wait_for(project / f"ready{rank}")
    return driver, project


def wait_for(path: Path, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["local", *SLOW])
@pytest.mark.parametrize("to_group", [True, False], ids=["from the terminal", "to the parent alone"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, mark: str, name: str, to_group: bool) -> None:
    driver, _ = start(tmp_path, name)
    (os.killpg if to_group else os.kill)(driver.pid, signal.SIGINT)
    assert driver.wait(5) == 130
    assert not wait_until_gone(mark, 1.0)


@pytest.mark.parametrize("name", ["local", *SLOW])
@pytest.mark.parametrize("is_background", [False, True], ids=["", "nohup"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_leaves_no_orphan(
    tmp_path: Path, mark: str, name: str, is_background: bool, sent: signal.Signals
) -> None:
    driver, _ = start(tmp_path, name, is_background=is_background)
    driver.send_signal(sent)
    driver.wait(5)
    assert not wait_until_gone(mark, 5.0), "the ranks' own children too"


def test_a_parent_killed_during_the_imports_leaves_no_orphan(tmp_path: Path, mark: str) -> None:
    driver, project = start(tmp_path, "local", preload=("torch", "transformers.modeling_utils"))
    wait_for(project / "results/.running/trial1/trial.json")
    time.sleep(0.5)
    driver.kill()
    driver.wait(5)
    assert not wait_until_gone(mark, 5.0)
