"""The trials that wait for a place, in order, and what each gets when it starts: a name and GPUs of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from papergen.core.errors import PapergenError
from papergen.execution.devices import find_gpus
from papergen.execution.gpu_locks import GpuLocks
from papergen.execution.launcher import Job
from papergen.execution.settings import RunSettings
from papergen.execution.slots import Slots
from papergen.execution.worker.spec import Share


class Queue:
    """First come, first served, as far as `Slots` has room. `num_nodes` machines share a trial of several ranks."""

    def __init__(
        self, settings: RunSettings, num_slots: int | None, gpus: Sequence[str] | None, *, num_nodes: int = 1
    ) -> None:
        """`gpus`: the ones to hand out; None: all that are visible, looked for when the first trial asks for them."""
        self._settings, self._num_slots, self._given_gpus = settings, num_slots, gpus
        self._num_nodes = num_nodes
        self._slots: Slots | None = None
        self._waiting: deque[Job] = deque()
        self._num_jobs = 0

    def add(self, job: Job) -> None:
        """Put a trial at the end; an error when it can never run here."""
        self._places(self._settings.device).check(self.share(job).per_node, self._settings.device)
        self._waiting.append(job)

    def remove(self, job: Job) -> bool:
        """Forget a waiting trial; whether there was one."""
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    def close(self) -> None:
        """Forget all that wait, and let other processes have the GPUs."""
        self._waiting.clear()
        if self._slots is not None:
            self._slots.close()

    @property
    def is_waiting_for_others(self) -> bool:
        """Whether a trial waits though none of ours runs: another process has the GPUs."""
        return bool(self._waiting) and self._slots is not None and self._slots.is_waiting_for_others

    def has_room(self, num_ranks: int) -> bool:
        """Whether a trial of so many ranks on CPUs would start at once."""
        return not self._waiting and self._places("cpu").has_room(num_ranks, "cpu")

    @property
    def first(self) -> Job | None:
        """The one that is next, left in the queue."""
        return self._waiting[0] if self._waiting else None

    def next(self) -> Job | None:
        """The first trial, taken out of the queue, when there is room for it."""
        if not self._waiting:
            return None
        job = self._waiting[0]
        places, num_ranks = self._places(self._settings.device), self.share(job).per_node
        if not places.has_room(num_ranks, self._settings.device, takes_all_gpus=job.takes_all_gpus):
            return None
        return self._waiting.popleft()

    def take(self, job: Job) -> tuple[str, tuple[str, ...]]:
        """The name under which the trial runs, and its GPUs on this machine, which are its own until `give_back`."""
        self._num_jobs += 1
        name = f"job{self._num_jobs}"
        places, num_ranks = self._places(self._settings.device), self.share(job).per_node
        return name, places.take(name, num_ranks, self._settings.device, takes_all_gpus=job.takes_all_gpus)

    def give_back(self, name: str) -> None:
        """The trial of that name is over."""
        self._places("cpu").give_back(name)

    def share(self, job: Job) -> Share:
        """What this machine runs of a trial: all of it, or the first of equal parts where there are other machines."""
        num_ranks = job.trial.num_ranks
        if num_ranks == 1 or self._num_nodes == 1:
            return Share(per_node=num_ranks)
        if num_ranks % self._num_nodes:
            raise PapergenError(
                f"the trial has {num_ranks} ranks, which {self._num_nodes} nodes cannot share evenly.",
                hint=f"Give it a multiple of {self._num_nodes}, or run it without --nnodes.",
            )
        return Share(num_nodes=self._num_nodes, per_node=num_ranks // self._num_nodes)

    def _places(self, device: str) -> Slots:
        if self._slots is None or (device == "cuda" and not self._slots.has_gpus and self._given_gpus is None):
            gpus, locks = self._given_gpus, GpuLocks()
            if gpus is None:
                found = find_gpus() if device == "cuda" else ()
                gpus = [gpu.name_for_cuda for gpu in found]
                locks = GpuLocks({gpu.name_for_cuda: gpu.identity for gpu in found})
            if self._slots is None:
                self._slots = Slots(self._settings.max_trials, self._num_slots, gpus, locks)
            else:
                self._slots.add_gpus(gpus, locks)
        return self._slots
