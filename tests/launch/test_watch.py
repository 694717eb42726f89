"""What the watch over a trial concludes, with a clock and vital signs made by hand."""

from __future__ import annotations

import pytest
from lab import Lab

from papergen.launch.base import Limits
from papergen.launch.processes import IdleMeter, Vitals, state_of, vitals_of
from papergen.launch.watch import Watch, ended_by

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


def test_vital_signs_of_nobody() -> None:
    assert state_of(2**22 + 1) == ""
    assert vitals_of(2**22 + 1) == Vitals(cpu_s=0.0, io_bytes=0)
