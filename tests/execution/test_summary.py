"""What a run-exp says at its end, and by which exit code."""

from __future__ import annotations

import pytest
from lab import trial

from papergen.execution.summary import MAX_FAILED, MAX_SKIPPED, TRACEBACK_LINES, Summary
from papergen.store.failures import Failure, FailureKind


def failure(kind: FailureKind = FailureKind.ERROR, **more: str) -> Failure:
    return Failure(kind=kind, rank=0, cause="ValueError: no", **more)


@pytest.mark.parametrize("kind", FailureKind)
def test_the_exit_code_by_the_kind_of_a_failure(kind: FailureKind) -> None:
    summary = Summary(failed=[(trial("a"), failure()), (trial("b"), failure(kind))])
    is_of_machine = kind in {FailureKind.MACHINE, FailureKind.DISK_FULL}
    assert summary.exit_code == (3 if is_of_machine else 1)
    assert summary.is_disk_full is (kind is FailureKind.DISK_FULL)


def test_what_was_skipped_is_no_success() -> None:
    assert Summary(finished=[trial("a")]).exit_code == 0
    assert Summary(finished=[trial("a")], skipped=[(trial("b"), "e/a")]).exit_code == 1


def test_counts_for_a_person_and_for_a_script() -> None:
    summary = Summary(num_finished_before=3, finished=[trial("a")], failed=[(trial("b"), failure())])
    assert summary.counts() == "1 trial finished, 1 failed, 3 were finished before"
    assert summary.to_json() == {"event": "ended", "finished": 1, "failed": 1, "skipped": 0, "cached": 3}


def test_of_an_error_with_advice_the_advice_is_told_and_of_another_the_end_of_its_traceback() -> None:
    traceback = "\n".join(f"line {number}" for number in range(40))
    failed = [(trial("a"), failure(traceback=traceback, advice="Type this.", log="a.log"))]
    assert Summary(failed=failed).problems() == ["", "FAILED e/a: ValueError: no", "Type this.", "log: a.log"]
    failed = [(trial("a"), failure(traceback=traceback))]
    assert Summary(failed=failed).problems()[-1].splitlines() == [
        f"line {number}" for number in range(40 - TRACEBACK_LINES, 40)
    ]


def test_of_many_failures_some_are_told_and_the_others_counted() -> None:
    failed = [(trial(f"f{number}"), failure()) for number in range(MAX_FAILED + 2)]
    skipped = [(trial(f"s{number}"), "e/f0") for number in range(MAX_SKIPPED + 3)]
    lines = Summary(failed=failed, skipped=skipped).problems()
    assert "... and 2 more failed: `papergen status --state failed`" in lines
    assert lines[-2:] == [f"skipped e/s{MAX_SKIPPED - 1}: e/f0 failed", "... and 3 more were skipped"]
