"""The rules by which a rank is told to hang: one table with every threshold and its reason; docs/running.md shows it.

For all of them: a process that computes, reads or writes, waits for a disk or waits for a free processor is at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Literal

from papergen.execution.settings import Timeouts

SUSPECT_AFTER = 1 / 3
"""Of a rule's time: from then on it is measured what the rank uses. Measuring walks through /proc, so not before."""
IDLE_FOR = 1 / 2
"""Of a rule's time: for so long an idle rank must have used nothing. Less than all of it: measuring begins late."""
MAX_PLACES = 3
"""A loop that waits for ever may call a function or two to look whether it may go on; evaluating visits many."""
MIN_STEPS = 4
"""Steps that must have come, in two reports or more, before the next can be overdue."""
NUM_RECENT = 100
"""Gaps between steps that count for `Hang.OVERDUE`: a slow start is forgotten."""
AGAIN_S = 1.0
"""Between the two looks at the stacks of a rank whose step is overdue."""
FIRST_ITS_LINE = 1.4
"""So much later a rank is told to have returned early while another is late for a step that it promised: the line
where that one hangs is the better cause, and comes first."""


class Hang(StrEnum):
    """How a rank hangs."""

    STOPPED = "stopped"
    SILENT = "silent"
    LEFT_EARLY = "left early"
    NO_PROGRESS = "no progress"
    COLLECTIVE = "collective"
    OVERDUE = "overdue"
    STANDING = "standing"
    UNPACED = "unpaced"
    COMPUTING = "computing"
    SPINNING = "spinning"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a rank is told to hang in one of the ways."""

    seen: str
    """What must be seen of it, for as long as follows."""
    after_s: float
    factor: float = 0.0
    """Likewise for so many times its longest step, where that is longer."""
    outcome: Literal["trial ends", "a line names it"] = "trial ends"
    asks_for_stacks: bool = False
    """Whether the ranks write down where they stand before they are ended; else they have done so, or cannot."""
    reason: str

    @property
    def duration(self) -> str:
        """`8 s, and 10 times its longest step`."""
        return f"{self.after_s:g} s" + (f", and {self.factor:g} times its longest step" if self.factor else "")


def rules_of(timeouts: Timeouts) -> Mapping[Hang, Rule]:
    """The rules under these timeouts; with `hang_s` 0 those that read stacks never apply."""
    is_on = timeouts.hang_s > 0
    hang_s = timeouts.hang_s if is_on else inf
    named_s = timeouts.standing_s if is_on else inf
    return {
        Hang.STOPPED: Rule(
            seen="gives no sign of life, and the kernel says that it is stopped (SIGSTOP)",
            after_s=timeouts.silent_s / 2,
            reason="nothing else looks like this",
        ),
        Hang.SILENT: Rule(
            seen="gives no sign of life (else one comes every second) and is idle",
            after_s=timeouts.silent_s,
            asks_for_stacks=True,
            reason="native code that holds Python's lock gives no sign either, but computes",
        ),
        Hang.LEFT_EARLY: Rule(
            seen="has returned from `run` while all that have not are idle",
            after_s=timeouts.early_s,
            asks_for_stacks=True,
            reason="every rank must take part in every collective operation: the rank that returned is named",
        ),
        Hang.NO_PROGRESS: Rule(
            seen="tells nothing, like every other rank, and all are idle",
            after_s=timeouts.stall_s,
            asks_for_stacks=True,
            reason="who promised nothing may sleep, but not as long as this",
        ),
        Hang.COLLECTIVE: Rule(
            seen="stands outside any collective operation while another waits in one, or all wait in one; "
            "no rank goes on, all are idle",
            after_s=hang_s,
            reason="the others wait for it, and cannot go on by themselves",
        ),
        Hang.OVERDUE: Rule(
            seen="owes a step (`ctx.step`), is idle, and stands at the same line in two looks a second apart; "
            f"{MIN_STEPS} steps have come, and the slowest of the last {NUM_RECENT} counts as its longest",
            after_s=hang_s,
            factor=10.0,
            reason="it promised to go on at its pace",
        ),
        Hang.STANDING: Rule(
            seen=f"was seen at {MAX_PLACES} places of the code at most, told nothing, and is idle",
            after_s=named_s,
            outcome="a line names it",
            reason="no proof: it may wait for what only its author knows",
        ),
        Hang.UNPACED: Rule(
            seen="is seen like this and owes a step, though its pace is not known yet",
            after_s=timeouts.unpaced_s if is_on else inf,
            factor=20.0,
            reason="it promised to go on; the first steps compile and fill caches, so it gets more time",
        ),
        Hang.COMPUTING: Rule(
            seen=f"was seen at {MAX_PLACES} places at most, told nothing, computes, and owes a step",
            after_s=named_s,
            factor=20.0,
            outcome="a line names it",
            reason="no proof: an evaluation takes long as well, but visits many places",
        ),
        Hang.SPINNING: Rule(
            seen="is seen like this in every look",
            after_s=timeouts.stall_s if is_on else inf,
            reason="no real computation stands at the same calls in hundreds of looks",
        ),
    }


def table_of(rules: Mapping[Hang, Rule]) -> str:
    """The rules as docs/running.md shows them, in Markdown."""
    lines = ["| a rank that | for | then | because |", "|---|---|---|---|"]
    lines += [f"| {rule.seen} | {rule.duration} | {rule.outcome} | {rule.reason} |" for rule in rules.values()]
    return "\n".join(lines)
