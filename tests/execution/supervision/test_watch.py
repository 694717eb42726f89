"""Which of many faults ended a trial, by a watch without processes and clock."""

from __future__ import annotations

import pytest
from lab import Lab
from watched import failed, watch_of

from papergen.execution.supervision.hang_rules import Hang
from papergen.execution.supervision.hangs import Finding
from papergen.execution.supervision.watch import ended_by
from papergen.store.failures import FailureKind


def test_the_earliest_fault_wins_however_late_it_is_heard(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("ValueError: second", 2.0), 3.0)
    watch.heard(1, failed("ValueError: first", 1.0), 3.0)
    fault = watch.judge(3.0)
    assert fault is not None
    assert (fault.rank, fault.cause) == (1, "ValueError: first")


def test_an_echo_waits_for_the_cause(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("RuntimeError: Connection reset by peer", 1.0, FailureKind.CONNECTION), 1.0)
    watch.exited(0, 1, 1.1)
    assert watch.judge(1.2) is None
    watch.exited(1, -9, 1.3)
    fault = watch.judge(1.3)
    assert fault is not None
    assert (fault.rank, fault.cause) == (1, "killed by SIGKILL (out of memory?)")


def test_a_cause_that_speaks_of_a_peer_is_no_echo(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("ValueError: the peer review timed out", 1.0), 1.0)
    watch.heard(1, failed("RuntimeError: connection reset", 0.5, FailureKind.CONNECTION), 1.0)
    fault = watch.judge(1.0)
    assert fault is not None
    assert (fault.rank, fault.kind) == (0, FailureKind.ERROR)


@pytest.mark.parametrize(
    ("status", "kind"), [(-9, FailureKind.KILLED), (3, FailureKind.EXITED), (None, FailureKind.EXITED)]
)
def test_the_kind_of_an_end_without_a_word(lab: Lab, status: int | None, kind: FailureKind) -> None:
    watch = watch_of(lab)
    watch.exited(1, status, 1.0)
    assert [fault.kind for fault in watch.faults] == [kind]


def test_what_happens_after_the_verdict_is_no_cause(lab: Lab) -> None:
    watch = watch_of(lab)
    watch.heard(0, failed("RuntimeError: Connection reset by peer", 1.0, FailureKind.CONNECTION), 1.0)
    fault = watch.judge(2.5)
    watch.exited(1, -15, 3.0)
    watch.exited(0, 1, 3.0)
    assert watch.judge(4.0) is fault
    assert watch.all_exited


def test_one_rank_has_no_echoes(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1)
    watch.heard(0, failed("TimeoutError: timed out", 1.0, FailureKind.CONNECTION), 1.0)
    assert watch.judge(1.0) is not None


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


@pytest.mark.parametrize("hang", Hang)
@pytest.mark.parametrize("rank", [0, None])
def test_ranks_that_do_not_call_the_same_operations_are_no_hang(lab: Lab, hang: Hang, rank: int | None) -> None:
    watch = watch_of(lab)
    watch._take(Finding(hang=hang, rank=rank, cause="why"), 1.0)
    is_desync = hang is Hang.LEFT_EARLY or (hang is Hang.COLLECTIVE and rank is None)
    kinds = {fault.kind for fault in watch.faults}
    assert kinds <= {FailureKind.DESYNC if is_desync else FailureKind.HANG}
    assert bool(kinds) is (watch.hangs.rules[hang].outcome == "trial ends")
