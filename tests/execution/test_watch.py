"""What the watch over a trial concludes, with a clock and vital signs made by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from lab import Lab

from papergen.cli.run_exp import run_exp
from papergen.execution.launcher import Limits
from papergen.execution.supervision.processes import IdleMeter, Vitals, state_of, vitals_of
from papergen.execution.supervision.watch import Watch, ended_by

IDLE = Vitals(cpu_s=1.0, io_bytes=0)


def watch_of(lab: Lab, num_ranks: int = 2, **fields: float) -> Watch:
    watch = Watch(lab.job("pass", num_ranks=num_ranks, **fields), Limits(), 0.0)
    watch.started({rank: 100 + rank for rank in range(num_ranks)}, 0.0)
    return watch


def beat(watch: Watch, now: float, *ranks: int) -> None:
    for rank in ranks:
        watch.heard(rank, {"event": "beat"}, now)


def failed(cause: str, at: float) -> dict[str, object]:
    return {"event": "failed", "cause": cause, "traceback": "", "at": at}


def test_the_earliest_fault_wins_however_late_it_is_heard(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("ValueError: second", 2.0), 3.0)
    watch.heard(1, failed("ValueError: first", 1.0), 3.0)
    fault = watch.judge(3.0)
    assert fault is not None
    assert (fault.rank, fault.cause) == (1, "ValueError: first")


def test_an_echo_waits_for_the_cause(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("RuntimeError: Connection reset by peer", 1.0), 1.0)
    watch.exited(0, 1, 1.1)
    assert watch.judge(1.2) is None
    watch.exited(1, -9, 1.3)
    fault = watch.judge(1.3)
    assert fault is not None
    assert (fault.rank, fault.cause) == (1, "killed by SIGKILL (out of memory?)")


def test_what_happens_after_the_verdict_is_no_cause(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("RuntimeError: Connection reset by peer", 1.0), 1.0)
    fault = watch.judge(2.5)
    watch.exited(1, -15, 3.0)
    watch.exited(0, 1, 3.0)
    assert watch.judge(4.0) is fault
    assert watch.all_exited


def test_one_rank_has_no_echoes(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1)
    watch.heard(0, failed("TimeoutError: timed out", 1.0), 1.0)
    assert watch.judge(1.0) is not None


def test_a_stopped_rank_is_found_within_45_s(lab: Lab) -> None:
    watch = watch_of(lab)
    for now in range(0, 46, 2):
        beat(watch, now, 0)
        watch.inspect(now, lambda pid: "T" if pid == 101 else "S", lambda _: IDLE)
        if watch.faults:
            break
    assert [fault.rank for fault in watch.faults] == [1]
    assert now <= 16


def test_a_rank_that_holds_the_interpreter_and_computes_is_left_alone(lab: Lab) -> None:
    watch = watch_of(lab)
    for now in range(0, 400, 2):
        beat(watch, now, 0)
        watch.inspect(now, lambda _: "R", lambda pid, now=now: Vitals(cpu_s=now if pid == 101 else 0.0, io_bytes=0))
    assert not watch.faults, "a long call into native code beats no heart"


def test_a_deadlocked_rank_is_found_within_45_s(lab: Lab) -> None:
    watch = watch_of(lab)
    for now in range(0, 46, 2):
        beat(watch, now, 0)
        watch.inspect(now, lambda _: "S", lambda _: IDLE)
        if watch.faults:
            break
    assert watch.faults[0].rank == 1
    assert watch.faults[0].cause.startswith("hangs")


def test_progress_resets_the_stall(lab: Lab) -> None:
    watch = watch_of(lab, stall_s=20.0)
    for now in range(0, 100, 2):
        beat(watch, now, 0, 1)
        if now % 10 == 0 and now <= 40:
            watch.heard(0, {"event": "progress"}, now)
        watch.inspect(now, lambda _: "S", lambda _: IDLE)
        if watch.faults:
            break
    assert now == 60
    assert watch.faults[0].cause.startswith("no progress for 20 s")


def test_a_fault_after_the_trial_is_recorded_does_not_count(lab: Lab) -> None:
    watch = watch_of(lab)
    for rank in range(2):
        watch.heard(rank, {"event": "returned"}, 1.0)
    watch.heard(0, {"event": "done", "machine": {}}, 1.1)
    assert watch.exited(1, -6, 1.2) == (
        "rank 1 killed by SIGABRT (a crash in native code); the results were recorded before"
    )
    assert watch.judge(1.2) is None


@pytest.mark.parametrize(("status", "words"), [(-1000, "killed by signal 1000"), (3, "with status 3"), (None, "ended")])
def test_odd_statuses_have_words(status: int | None, words: str) -> None:
    assert words in ended_by(status)


def test_idle_means_since_the_first_of_two_equal_looks() -> None:
    meter = IdleMeter()
    assert meter.look(0.0, Vitals(cpu_s=0.0, io_bytes=0)) == 0.0
    assert meter.look(10.0, Vitals(cpu_s=0.1, io_bytes=100)) == 10.0
    assert meter.look(12.0, Vitals(cpu_s=0.15, io_bytes=100)) == 12.0
    assert meter.look(13.0, Vitals(cpu_s=1.0, io_bytes=100)) == 0.0
    assert meter.look(14.0, Vitals(cpu_s=1.0, io_bytes=900_000)) == 0.0, "reading and writing is work too"
    assert meter.look(15.0, Vitals(cpu_s=1.0, io_bytes=900_000)) == 1.0


def test_looks_come_no_closer_than_the_kernel_counts() -> None:
    meter = IdleMeter()
    assert meter.is_due(0.0)
    meter.look(0.0, IDLE)
    assert not meter.is_due(0.1)
    meter.look(4.0, IDLE)
    assert meter.idle_s(4.1) == 4.1


def test_a_group_that_waits_for_a_disk_or_a_processor_is_not_idle() -> None:
    meter = IdleMeter()
    meter.look(0.0, IDLE)
    assert meter.look(10.0, Vitals(cpu_s=1.0, io_bytes=0, is_on_disk=True)) == 0.0
    assert meter.look(20.0, Vitals(cpu_s=1.0, io_bytes=0, queued_s=6.0)) == 0.0
    assert meter.look(30.0, Vitals(cpu_s=1.0, io_bytes=0, queued_s=6.5)) == 10.0


def test_vital_signs_of_a_process_count_what_it_computes_and_reads(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(2**20))
    code = "import sys\nopen(sys.argv[1], 'rb').read()\nsum(range(10**7))\nprint('done', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        vitals = vitals_of(process.pid)
        assert vitals.cpu_s > 0.02
        assert vitals.io_bytes >= 2**20
        assert not vitals.is_on_disk
        process.kill()


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
        if watch.takes_stacks_request():
            asked_at = now
        elif asked_at is not None and now >= asked_at + 0.5:
            asked_at = None
            watch.saw_stacks(now, stacks(now))
        if watch.faults:
            return now - 4.5
    return None


def alone(told: Sequence[str]) -> Callable[[float], Mapping[int, Sequence[str]]]:
    return lambda now: {0: told}


def test_one_rank_that_breaks_its_promise_to_step_is_found_within_15_s(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1)
    after_s = drive(watch, stacks=alone(stack("train")), until=60)
    assert after_s is not None
    assert after_s <= 12
    fault = watch.faults[0]
    assert (fault.rank, fault.traceback.splitlines()[0]) == (0, "rank 0: in train (kind.py:3)")
    assert fault.cause.startswith("hangs in train (kind.py:3); no step for 10 s after steps of 0.5 s at most")


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("promised nothing", {"steps": lambda now: ()}),
        ("stepped too seldom to have a pace", {"steps": lambda now: [0] if now in {0, 0.5, 1} else []}),
        ("computes", {"cpu_s": lambda now: now}),
        ("steps slowly, as before", {"steps": lambda now: [0] if now % 20 == 0 else []}),
        ("waits for the network", {"stacks": alone(stack("recv", file="/lib/ssl.py"))}),
        ("stands elsewhere every time", {"stacks": lambda now: {0: stack("train", line=int(now * 2))}}),
        ("gave no stack", {"stacks": alone([])}),
    ],
)
def test_one_rank_is_left_alone_that(lab: Lab, why: str, changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"stacks": alone(stack("train")), **changes}
    assert drive(watch_of(lab, num_ranks=1), until=200, **given) is None, why


def test_two_reports_that_stand_for_many_steps_make_a_pace(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1)
    for now, done in ((4.0, 1), (4.5, 40)):
        watch.heard(0, {"event": "step", "done": done, "total": 1000}, now)
    after_s = drive(watch, stacks=alone(stack("train")), until=60, steps=lambda now: ())
    assert after_s is not None
    assert after_s <= 12


def test_after_the_last_step_nothing_is_promised(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1)
    for done in range(1, 6):
        watch.heard(0, {"event": "step", "done": done, "total": 5}, done / 2)
    assert drive(watch, stacks=alone(stack("save")), until=200, steps=lambda now: ()) is None


def test_hangs_are_not_looked_for_when_told_so(lab: Lab) -> None:
    watch = Watch(lab.job("pass", num_ranks=1), Limits(hang_s=0), 0.0)
    watch.started({0: 100}, 0.0)
    assert drive(watch, stacks=alone(stack("train")), until=200) is None


def test_of_two_ranks_the_one_that_stands_still_is_named(lab: Lab) -> None:
    watch = watch_of(lab)
    steps = lambda now: [0, 1] if now < 5 else [0]  # noqa: E731
    assert drive(watch, stacks=lambda now: {0: stack("train"), 1: stack("load")}, steps=steps, until=60) is not None
    assert (watch.faults[0].rank, watch.faults[0].cause[:29]) == (1, "hangs in load (kind.py:3); no")


def test_a_rank_that_hangs_is_named_though_another_has_returned(lab: Lab) -> None:
    watch = watch_of(lab)
    for tick in range(10):
        for rank in range(2):
            watch.heard(rank, {"event": "step", "done": tick, "total": 1000}, tick / 2)
    watch.heard(0, {"event": "returned"}, 4.5)
    stacks = {0: stack("recv"), 1: stack("load")}
    after_s = drive(watch, stacks=lambda now: stacks, steps=lambda now: (), until=60)
    assert after_s is not None
    assert after_s < 14
    assert (watch.faults[0].rank, watch.faults[0].cause[:29]) == (1, "hangs in load (kind.py:3); no")


def test_two_ranks_of_which_one_waits_for_the_network_are_left_alone(lab: Lab) -> None:
    stacks = {0: stack("poll"), 1: stack("recv", file="/lib/socket.py")}
    assert drive(watch_of(lab), stacks=lambda now: stacks, until=200) is None


def test_the_command_line_and_the_launchers_have_one_patience() -> None:
    (option,) = (item for item in run_exp.params if item.name == "hang_timeout")
    assert option.default == Limits().hang_s


def test_vital_signs_of_nobody() -> None:
    assert state_of(2**22 + 1) == ""
    assert vitals_of(2**22 + 1) == Vitals(cpu_s=0.0, io_bytes=0)
