"""Which ranks are told to hang and when, and which are left alone: tables drive a watch without processes and clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab import Lab
from watched import IDLE, alone, beat, drive, stack, watch_of

from papergen.cli.run_exp import run_exp
from papergen.execution.settings import RunSettings, Timeouts
from papergen.execution.supervision.hang_rules import rules_of, table_of
from papergen.execution.supervision.processes import Vitals
from papergen.execution.supervision.watch import Watch

FEW = {"steps": lambda now: [0] if now in {3.5, 4} else []}
"""Two steps, the last at 4 s: no pace is known."""
COMPUTES = {"cpu_s": lambda now: now}


def test_the_documented_table_is_that_of_the_rules() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "running.md").read_text(encoding="utf-8")
    assert table_of(rules_of(Timeouts())) in documented


def here(now: float) -> str:
    return "a loop"


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
    watch = Watch(lab.job("pass", num_ranks=1), RunSettings(timeouts=Timeouts(hang_s=0)), 0.0)
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
    (option,) = (item for item in run_exp.params if item.name == "hang_timeout_s")
    assert option.default == Timeouts().hang_s


def test_a_lone_rank_that_computes_for_ever_is_named_soon_and_ended_late(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=600.0)
    assert drive(watch, stacks=alone(stack("train")), place=here, until=18, **COMPUTES) is None
    (told,) = watch.notes
    assert told.startswith("rank 0 has been computing in train (kind.py:3) for 12 s without a step, after steps of 0.5")
    watch = watch_of(lab, num_ranks=1, stall_s=600.0)
    after_s = drive(watch, stacks=alone(stack("train")), place=here, until=700, **COMPUTES)
    assert after_s is not None
    assert 590 <= after_s <= 610
    assert len(watch.notes) == 1
    assert watch.faults[0].rank == 0
    assert watch.faults[0].traceback.startswith("rank 0: in train (kind.py:3)\n")
    told = "spins in train (kind.py:3); no step for 600 s, after steps of 0.5 s at most, computing at the same place"
    assert watch.faults[0].cause.startswith(told)


def test_a_loop_that_calls_functions_stands_at_few_places(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=100.0)
    places = lambda now: f"place {int(now) % 3}"  # noqa: E731
    assert drive(watch, stacks=alone(stack("train")), place=places, until=200, **COMPUTES) is not None


@pytest.mark.parametrize("num_steps", [1, 2, 3])
def test_a_lone_rank_that_hangs_before_its_pace_is_known_is_ended_after_a_minute(lab: Lab, num_steps: int) -> None:
    watch = watch_of(lab, num_ranks=1)
    steps = lambda now: [0] if 4 - num_steps / 2 < now <= 4 else []  # noqa: E731
    after_s = drive(watch, stacks=alone(stack("load")), place=here, steps=steps, until=100)
    assert after_s is not None
    assert 55 <= after_s <= 65
    assert watch.notes[0].startswith("rank 0 has stood in load (kind.py:3) for 12 s and uses no CPU time")
    assert watch.faults[0].cause.startswith("hangs in load (kind.py:3); no step for 60 s")


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("computes before its pace is known", {**FEW, **COMPUTES}),
        ("is idle and has promised nothing", {"steps": lambda now: ()}),
        ("is evaluated, which visits many places", {**COMPUTES, "place": lambda now: f"place {now % 7}"}),
        ("is evaluated for as long as before", {**COMPUTES, "steps": lambda now: [0] if now % 100 < 4 else []}),
        ("waits for the network", {**FEW, "stacks": alone(stack("recv", file="/lib/ssl.py"))}),
        ("waits for the others", {**FEW, "stacks": alone(stack("wait", file="/lib/torch/distributed/c10d.py"))}),
        ("gave no stack", {**FEW, "stacks": alone([])}),
    ],
)
def test_no_rank_is_ended_that(lab: Lab, why: str, changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"stacks": alone(stack("train")), "place": here, **changes}
    watch = watch_of(lab, num_ranks=1, stall_s=250.0)
    assert drive(watch, until=200, **given) is None, why
    is_named = why in {"is idle and has promised nothing", "is evaluated for as long as before"}
    assert len(watch.notes) == is_named, "named once, the first time"


def test_nobody_is_looked_at_when_told_so(lab: Lab) -> None:
    watch = watch_of(lab, num_ranks=1, stall_s=100.0)
    watch.hangs = type(watch.hangs)(1, Timeouts(hang_s=0, stall_s=100.0), 0.0)
    assert drive(watch, stacks=alone(stack("train")), place=here, until=300, **COMPUTES) is None
    assert watch.notes == []


def test_a_machine_that_was_suspended_ends_nothing(lab: Lab) -> None:
    """Even where its clock ran on: the rank computes, stood at one place for a while, and goes on."""
    for vitals in (lambda now: now, lambda now: 1.0):
        watch = watch_of(lab, num_ranks=1, stall_s=600.0)
        for tick in range(9):
            watch.heard(0, {"event": "step", "done": tick, "total": 100}, tick / 2)
        stacks = alone(stack("train"))
        for now in [*range(5, 12), *range(5000, 5005)]:
            if now < 5001:
                watch.heard(0, {"event": "beat", "place": "evaluates"}, now)
            watch.inspect(now, lambda _: "S", lambda _, now=now, used=vitals: Vitals(cpu_s=used(now), io_bytes=0))  # type: ignore[misc]
            if watch.hangs.takes_stacks_request():
                watch.saw_stacks(now + 0.5, stacks(now))
        assert not watch.faults, watch.faults
