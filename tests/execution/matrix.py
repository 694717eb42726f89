"""The fault matrix, for any launcher: what goes wrong in a trial of one rank or two, and what is said of it when."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab import Lab

from papergen.execution.launcher import Ended, Event, Job, Launcher

MARK = '(ctx.scratch / "fault").touch()'
WAIT = "time.sleep(1000)"
STEPS = "for step in range(30):\n    ctx.step(step, 1000)\n    time.sleep(0.02)"
MEET = "import torch, torch.distributed as dist\ndist.init_process_group('gloo')"


@dataclass(frozen=True)
class Fault:
    """What happens, in lines of a `run` function, and what the failure must say."""

    name: str
    body: str
    rank: int | None
    cause: str
    """Beginning of the cause; "" for none: the trial succeeds all the same."""
    limit_s: float = 15.0
    shows: str = ""
    """What the traceback shows."""
    num_ranks: int = 2


FAULTS = (
    Fault(
        "raises",
        f"if ctx.rank:\n    {MARK}\n    raise ValueError('a fault')\n{WAIT}",
        1,
        "ValueError: a fault",
        shows="raise ValueError('a fault')",
    ),
    Fault(
        "killed", f"if ctx.rank:\n    {MARK}\n    os.kill(os.getpid(), signal.SIGKILL)\n{WAIT}", 1, "killed by SIGKILL"
    ),
    Fault(
        "hangs",
        f"{MEET}\nif ctx.rank:\n    {MARK}\n    {WAIT}\ndist.all_reduce(torch.ones(1))",
        1,
        "hangs in run (",
        shows="in all_reduce",
    ),
    Fault("hangs alone", f"{STEPS}\n{MARK}\n{WAIT}", 0, "hangs in run (", shows="in run", num_ranks=1),
    Fault(
        "hangs while the other goes on",
        f"{STEPS}\nif ctx.rank:\n    {MARK}\n    {WAIT}\nfor step in range(1000):\n"
        "    ctx.step(step, 1000)\n    time.sleep(0.1)",
        1,
        "hangs in run (",
        shows="in run",
    ),
    Fault(
        "stopped",
        f"if ctx.rank:\n    {MARK}\n    os.kill(os.getpid(), signal.SIGSTOP)\n{WAIT}",
        1,
        "the process is stopped (SIGSTOP)",
        limit_s=45.0,
    ),
    Fault(
        "stopped alone",
        f"{MARK}\nos.kill(os.getpid(), signal.SIGSTOP)",
        0,
        "the process is stopped (SIGSTOP)",
        limit_s=45.0,
        num_ranks=1,
    ),
    Fault("returns early", f"if ctx.rank:\n    {MARK}\n    return {{}}\n{WAIT}", 1, "returned from run() "),
    Fault(
        "lingers",
        f"""
class Stuck:
    def flush(self): {WAIT}
    def write(self, text): pass
sys.stdout = Stuck()
if ctx.rank:
    {MARK}
return {{"score": 1.0}}""",
        None,
        "",
    ),
    Fault("nothing", f"{MARK}\nreturn {{'score': 1.0}}", None, ""),
    Fault("nothing alone", f"{MARK}\nreturn {{'score': 1.0}}", None, "", num_ranks=1),
)


def check(launcher: Launcher, lab: Lab, *, slack_s: float = 0.0) -> None:
    """Run all rows of the matrix side by side; each ends in time with its cause, and none disturbs another.

    `slack_s` is what a machine that starts many interpreters at once may take for itself.
    """
    rows: dict[str, tuple[Fault, Job]] = {}
    waiting = list(FAULTS)
    took: dict[str, tuple[Fault, Ended, float]] = {}
    deadline = time.monotonic() + 200
    while len(took) < len(FAULTS):
        while waiting and launcher.has_room(waiting[0].num_ranks):
            fault = waiting.pop(0)
            job = lab.job(fault.body, num_ranks=fault.num_ranks)
            rows[job.trial.digest] = fault, job
            launcher.submit(job)
        assert time.monotonic() < deadline, f"only these have ended: {sorted(took)}"
        for item in launcher.wait(timeout_s=5.0):
            if not isinstance(item, Event):
                fault, job = rows[item.job.trial.digest]
                # The file system's clock is the wall clock.
                took[fault.name] = fault, item, time.time() - (job.scratch / "fault").stat().st_mtime
    for name, (fault, ended, seconds) in took.items():
        assert seconds < fault.limit_s + slack_s, f"{name}: {seconds:.1f} s"
        if not fault.cause:
            assert ended.failure is None, f"{name}: {ended.failure}"
            continue
        assert ended.failure is not None, f"{name}: no failure"
        assert ended.failure.rank == fault.rank, f"{name}: {ended.failure}"
        assert ended.failure.cause.startswith(fault.cause), f"{name}: {ended.failure}"
        assert fault.shows in ended.failure.traceback, f"{name}: {ended.failure}"
