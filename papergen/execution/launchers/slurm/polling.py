"""How often SLURM is asked: one squeue for all trials, more rarely while nothing changes or nobody answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from papergen.core.errors import MachineError
from papergen.execution.launchers.slurm import client as slurm_answers
from papergen.execution.launchers.slurm.client import SlurmBusyError, TaskState

CALM = 4.0
"""The longest pause while nothing changes, in multiples of the shortest."""
BUSY_S = 60.0
"""The longest pause while the controller does not answer."""
BUSY_LIMIT_S = 600.0
"""For so long a controller that does not answer is asked again."""


class Poll:
    """squeue's last answer, renewed when it is due."""

    def __init__(self, poll_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`poll_s` is the shortest pause between two questions."""
        self._shortest_s = self._pause_s = poll_s
        self._clock = clock
        self._asked_at: float | None = None
        self._busy_since: float | None = None
        self._states: Mapping[str, TaskState] = {}
        self.num_answers = 0
        """How often squeue has answered."""

    @property
    def is_sure(self) -> bool:
        """Whether the last question was answered: only then is a task that is not named over."""
        return self.num_answers > 0 and self._busy_since is None

    def states(self) -> Mapping[str, TaskState]:
        """Of all tasks that are not over; MachineError when the controller has not answered for too long."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= self._pause_s:
            self._ask(now)
            self._asked_at = self._clock()
        return self._states

    def submitted(self) -> None:
        """A job was submitted, which squeue may not know for a moment; soon there will be news."""
        self._pause_s = self._shortest_s
        self._asked_at = self._clock()

    def sure_states(self) -> Mapping[str, TaskState]:
        """Likewise, but an answer is waited for: for who must know that a task is over."""
        while True:
            states = self.states()
            if self.is_sure:
                return states
            time.sleep(self._pause_s / 4)

    def _ask(self, now: float) -> None:
        try:
            states = slurm_answers.states()
        except SlurmBusyError as error:
            self._busy_since = now if self._busy_since is None else self._busy_since
            if now - self._busy_since > BUSY_LIMIT_S:
                raise MachineError(f"{error} for {BUSY_LIMIT_S / 60:.0f} min; the jobs go on.") from error
            self._pause_s = min(2 * self._pause_s, max(BUSY_S, self._shortest_s))
            return
        is_news = self._busy_since is not None or states != self._states
        self._pause_s = self._shortest_s if is_news else min(1.5 * self._pause_s, CALM * self._shortest_s)
        self._busy_since, self._states = None, states
        self.num_answers += 1
