"""Who may run now: a bounded number of trials and ranks, and a GPU for one trial at a time."""

from __future__ import annotations

from collections.abc import Sequence

from papergen.core.errors import MachineError
from papergen.execution.gpu_locks import GpuLocks


class Slots:
    """At most `max_trials` trials with together at most `num_ranks` ranks (None: as many as they have).

    A trial too large for `num_ranks` runs when nothing else does. `gpus` are names for CUDA_VISIBLE_DEVICES; `locks`
    keep them from other processes.
    """

    def __init__(
        self, max_trials: int, num_ranks: int | None, gpus: Sequence[str], locks: GpuLocks | None = None
    ) -> None:
        assert max_trials >= 1, f"max_trials = {max_trials}: nothing could ever run"
        self._max_trials = max_trials
        self._num_ranks = num_ranks
        self._all_gpus = tuple(gpus)
        self._free_gpus = list(gpus)
        self._locks = GpuLocks() if locks is None else locks
        self._reserved: tuple[str, ...] = ()
        """GPUs that were locked for the trial that has room, until it takes them."""
        self._taken: dict[str, tuple[int, tuple[str, ...]]] = {}

    @property
    def has_gpus(self) -> bool:
        """Whether there are any GPUs to hand out."""
        return bool(self._all_gpus)

    def add_gpus(self, gpus: Sequence[str], locks: GpuLocks) -> None:
        """These GPUs may be handed out too."""
        self._locks = locks
        self._all_gpus += tuple(gpus)
        self._free_gpus += gpus

    def check(self, num_ranks: int, device: str) -> None:
        """MachineError when such a trial can never run here; each rank needs a GPU of its own on "cuda"."""
        if device == "cuda" and num_ranks > len(self._all_gpus):
            found = f"{len(self._all_gpus)} GPU{'s are' if len(self._all_gpus) != 1 else ' is'} visible"
            raise MachineError(
                f"the trial needs {num_ranks} GPUs, one for each rank; {found}.",
                hint=f"Ask for {len(self._all_gpus) or 'no'} ranks on cuda, or use --device cpu.",
            )

    def has_room(self, num_ranks: int, device: str, *, takes_all_gpus: bool = False) -> bool:
        """Whether such a trial may start now: with a GPU per rank, or with all there are."""
        if len(self._taken) >= self._max_trials:
            return False
        used = sum(count for count, _ in self._taken.values())
        if self._taken and self._num_ranks is not None and used + num_ranks > self._num_ranks:
            return False
        return device != "cuda" or self._reserve(len(self._all_gpus) if takes_all_gpus else num_ranks)

    @property
    def is_waiting_for_others(self) -> bool:
        """Whether nothing of ours runs: then only another process can hold what is missing."""
        return not self._taken

    def close(self) -> None:
        """Let other processes have the GPUs."""
        self._locks.close()

    def _reserve(self, count: int) -> bool:
        """Lock `count` free GPUs, or none."""
        claimed: list[str] = []
        for gpu in self._free_gpus:
            if len(claimed) < count and self._locks.claim(gpu):
                claimed.append(gpu)
            elif gpu in self._reserved:
                self._locks.release(gpu)
        if len(claimed) < count:
            for gpu in claimed:
                self._locks.release(gpu)
            claimed = []
        self._reserved = tuple(claimed)
        return bool(claimed) or count == 0

    def take(self, name: str, num_ranks: int, device: str, *, takes_all_gpus: bool = False) -> tuple[str, ...]:
        """Give the trial `name` its place; the GPUs that are its own until it is over."""
        assert self.has_room(num_ranks, device, takes_all_gpus=takes_all_gpus), f"there is no room for {name}"
        count = 0 if device != "cuda" else len(self._all_gpus) if takes_all_gpus else num_ranks
        gpus, self._reserved = self._reserved[:count], ()
        self._free_gpus = [gpu for gpu in self._free_gpus if gpu not in gpus]
        self._taken[name] = (num_ranks, gpus)
        return gpus

    def give_back(self, name: str) -> None:
        """The trial `name` is over."""
        _, gpus = self._taken.pop(name)
        for gpu in gpus:
            self._locks.release(gpu)
        self._free_gpus = sorted([*self._free_gpus, *gpus], key=self._all_gpus.index)
