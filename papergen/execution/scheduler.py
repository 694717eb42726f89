"""Which trial may start next: upstream first, in plan order, and no trial overtaken for ever by smaller ones."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from papergen.store.failures import FailureKind
from papergen.store.records import Trial

MAX_OVERTAKEN = 16
"""So many trials may start before one for which there is no room; then it is waited for."""

RETRIED = frozenset(
    {
        FailureKind.OUT_OF_MEMORY,
        FailureKind.HANG,
        FailureKind.KILLED,
        FailureKind.EXITED,
        FailureKind.CONNECTION,
        FailureKind.HARDWARE,
        FailureKind.HOST_LOST,
        FailureKind.START_FAILED,
        FailureKind.PORT_TAKEN,
        FailureKind.PREEMPTED,
    }
)
"""Failures after which another attempt may end better (`--retries`).

An exception of the experiment's own code comes again with the same numbers, and so does the end at a limit.
"""


class TrialQueue:
    """Trials that wait, by what they wait for. `trials` are in plan order, which is also the order of starting."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._place = {trial.digest: place for place, trial in enumerate(trials)}
        self._trials = list(trials)
        self._missing: dict[str, set[str]] = {}
        self._dependents: dict[str, list[str]] = {}
        self._ready: dict[int, list[int]] = {}
        """Number of ranks -> heap of places."""
        self._overtaken: dict[int, int] = {}
        """Number of ranks -> trials that started although the first of this size came before them."""
        for trial in trials:
            missing = {digest for digest in trial.upstream.values() if digest in self._place}
            self._missing[trial.digest] = missing
            for digest in missing:
                self._dependents.setdefault(digest, []).append(trial.digest)
            if not missing:
                self._make_ready(trial.digest)
        self._num_waiting = len(self._place)

    def __len__(self) -> int:
        """How many have neither been taken nor given up."""
        return self._num_waiting

    def take(self, has_room: Callable[[int], bool]) -> Trial | None:
        """The next trial that may start now, None when there is none or no room."""
        refused: list[int] = []
        for num_ranks in sorted(self._ready, key=lambda ranks: self._ready[ranks][0]):
            if not has_room(num_ranks):
                if self._overtaken.get(num_ranks, 0) >= MAX_OVERTAKEN:
                    return None
                refused.append(num_ranks)
                continue
            for other in refused:
                self._overtaken[other] = self._overtaken.get(other, 0) + 1
            self._overtaken.pop(num_ranks, None)
            place = heapq.heappop(self._ready[num_ranks])
            if not self._ready[num_ranks]:
                del self._ready[num_ranks]
            self._num_waiting -= 1
            return self._trials[place]
        return None

    def finished(self, trial: Trial) -> None:
        """A taken trial has a result: what waited only for it is ready."""
        for digest in self._dependents.pop(trial.digest, ()):
            missing = self._missing.get(digest)
            if missing is not None:
                missing.discard(trial.digest)
                if not missing:
                    self._make_ready(digest)

    def again(self, trial: Trial) -> None:
        """A taken trial is to be tried once more, after those that are ready."""
        self._num_waiting += 1
        self._place[trial.digest] = len(self._trials)
        self._trials.append(trial)
        self._make_ready(trial.digest)

    def give_up(self, trial: Trial) -> list[Trial]:
        """A taken trial has failed for good: what needs it, directly or not, leaves the queue and is returned."""
        lost: list[str] = []
        queue = list(self._dependents.pop(trial.digest, ()))
        while queue:
            digest = queue.pop()
            if self._missing.pop(digest, None) is not None:
                lost.append(digest)
                queue += self._dependents.pop(digest, ())
        self._num_waiting -= len(lost)
        return [self._trials[place] for place in sorted(self._place[digest] for digest in lost)]

    def drain(self) -> list[Trial]:
        """Take all that wait out of the queue, in plan order."""
        places = {place for heap in self._ready.values() for place in heap}
        places |= {self._place[digest] for digest, missing in self._missing.items() if missing}
        self._ready.clear()
        self._missing.clear()
        self._num_waiting = 0
        return [self._trials[place] for place in sorted(places)]

    def _make_ready(self, digest: str) -> None:
        place = self._place[digest]
        heapq.heappush(self._ready.setdefault(self._trials[place].num_ranks, []), place)
