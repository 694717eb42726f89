"""A watch over a trial, driven by a table: no processes, and a clock and vital signs made by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lab import Lab

from papergen.execution.settings import RunSettings, Timeouts
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.watch import Watch
from papergen.store.failures import FailureKind

IDLE = Vitals(cpu_s=1.0, io_bytes=0)


def watch_of(lab: Lab, num_ranks: int = 2, **timeouts: float) -> Watch:
    watch = Watch(lab.job("pass", num_ranks=num_ranks), RunSettings(timeouts=Timeouts(**timeouts)), 0.0)
    watch.started({rank: 100 + rank for rank in range(num_ranks)}, 0.0)
    return watch


def beat(watch: Watch, now: float, *ranks: int) -> None:
    for rank in ranks:
        watch.heard(rank, {"event": "beat"}, now)


def failed(cause: str, at: float, kind: FailureKind = FailureKind.ERROR) -> dict[str, object]:
    is_consequence = kind is FailureKind.CONNECTION
    told = {"kind": kind.value, "cause": cause, "traceback": "", "is_consequence": is_consequence}
    return {"event": "failed", **told, "at": at}


STACK = """Current thread 0x00007f (most recent call first):
  File "{file}", line {line} in {name}
  File "/x/rank.py", line 40 in run_rank"""


def stack(name: str, line: int = 3, file: str = "/x/kind.py") -> list[str]:
    return STACK.format(file=file, line=line, name=name).splitlines()


def drive(
    watch: Watch,
    *,
    stacks: Callable[[float], Mapping[int, Sequence[str]]],
    until: float,
    steps: Callable[[float], Sequence[int]] = lambda now: range(4) if now < 5 else (),
    cpu_s: Callable[[float], float] = lambda now: 0.0,
    place: Callable[[float], str] = lambda now: f"elsewhere at {now}",
) -> float | None:
    """Seconds after the last of the steps (at 4 s) at which a hang is told; rank 0 steps every half second."""
    asked_at = None
    for tick in range(int(until * 2)):
        now = tick / 2
        for rank in range(len(watch.ranks)):
            watch.heard(rank, {"event": "beat", "place": place(now)}, now)
        for rank in range(len(watch.ranks)):
            if rank in steps(now):
                watch.heard(rank, {"event": "step", "done": tick, "total": 1000}, now)
        watch.inspect(now, lambda _: "S", lambda _, now=now: Vitals(cpu_s=cpu_s(now), io_bytes=0))  # type: ignore[misc]
        if watch.hangs.takes_stacks_request():
            asked_at = now
        elif asked_at is not None and now >= asked_at + 0.5:
            asked_at = None
            watch.saw_stacks(now, stacks(now))
        if watch.faults:
            return now - 4.5
    return None


def alone(told: Sequence[str]) -> Callable[[float], Mapping[int, Sequence[str]]]:
    return lambda now: {0: told}
