"""Who may run now on this machine: a bounded number of trials and ranks, and a GPU for one trial at a time.

Trials for which there is no room wait in the order in which they came. Which trial may start at all, because all that
it needs is finished, is decided before (scheduler.py).
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError, counted
from papergen.core.files import slug
from papergen.core.locks import try_lock
from papergen.execution.devices import find_gpus
from papergen.execution.launcher import Job
from papergen.execution.settings import RunSettings
from papergen.execution.worker.spec import NodeRanks

FOLDER = Path("/tmp")
"""For the locks of GPUs: one place for all users of the machine, whatever TMPDIR each of them has."""


class Slots:
    """At most `settings.jobs` trials with together at most `num_ranks` ranks (None: as many as they have).

    A trial too large for `num_ranks` runs when nothing else does. `gpus` are names for CUDA_VISIBLE_DEVICES; None: all
    that are visible, looked for when the first trial asks for them. `num_nodes` machines share a trial's ranks.
    """

    def __init__(
        self,
        settings: RunSettings,
        *,
        num_ranks: int | None = None,
        gpus: Sequence[str] | None = None,
        num_nodes: int = 1,
        locks: GpuLocks | None = None,
    ) -> None:
        self._max_trials, self._uses_gpus = settings.max_trials, settings.device == "cuda"
        self._num_ranks, self._num_nodes = num_ranks, num_nodes
        self._locks = locks or GpuLocks()
        self._gpus = None if gpus is None else tuple(gpus)
        self._free_gpus = list(gpus or ())
        self._reserved: tuple[str, ...] = ()
        """GPUs that were locked for the trial that has room, until it takes them."""
        self._waiting: deque[Job] = deque()
        self._taken: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._num_jobs = 0

    def add(self, job: Job) -> None:
        """Put a trial at the end of those that wait; an error when it can never run here."""
        num_ranks = self.node_ranks(job).per_node
        if self._uses_gpus and num_ranks > (num_gpus := len(self._all_gpus)):
            raise MachineError(
                f"the trial needs {num_ranks} GPUs, one for each rank; "
                f"{counted(num_gpus, 'GPU is', 'GPUs are')} visible.",
                hint=f"Ask for {num_gpus or 'no'} ranks on cuda, or use --device cpu.",
            )
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
        self._locks.close()

    @property
    def is_waiting_for_others(self) -> bool:
        """Whether a trial waits though none of ours runs: another process has the GPUs."""
        return bool(self._waiting) and not self._taken

    def has_room(self, num_ranks: int) -> bool:
        """Whether a trial of so many ranks would start at once, where it needs no GPU."""
        return not self._waiting and self._has_slot(num_ranks)

    @property
    def first(self) -> Job | None:
        """The one that is next, left where it is."""
        return self._waiting[0] if self._waiting else None

    def next(self) -> Job | None:
        """The first trial that waits, taken out, when there is room for it; then `take` its place."""
        if not self._waiting or not self._has_slot(self.node_ranks(self._waiting[0]).per_node):
            return None
        if not self._reserve(self._num_gpus(self._waiting[0])):
            return None
        return self._waiting.popleft()

    def take(self, job: Job) -> tuple[str, tuple[str, ...]]:
        """The name under which the trial runs, and its GPUs on this machine, which are its own until `give_back`."""
        gpus, self._reserved = self._reserved, ()
        assert len(gpus) == self._num_gpus(job), f"nothing was reserved for {job.trial.label}"
        self._num_jobs += 1
        name = f"job{self._num_jobs}"
        self._free_gpus = [gpu for gpu in self._free_gpus if gpu not in gpus]
        self._taken[name] = (self.node_ranks(job).per_node, gpus)
        return name, gpus

    def give_back(self, name: str) -> None:
        """The trial of that name is over."""
        _, gpus = self._taken.pop(name)
        for gpu in gpus:
            self._locks.release(gpu)
        self._free_gpus = sorted([*self._free_gpus, *gpus], key=self._all_gpus.index)

    def node_ranks(self, job: Job) -> NodeRanks:
        """What this machine runs of a trial: all of it, or the first of equal parts where there are other machines."""
        num_ranks = job.trial.num_ranks
        if num_ranks == 1 or self._num_nodes == 1:
            return NodeRanks(per_node=num_ranks)
        if num_ranks % self._num_nodes:
            raise PapergenError(
                f"the trial has {num_ranks} ranks, which {self._num_nodes} nodes cannot share evenly.",
                hint=f"Give it a multiple of {self._num_nodes}, or run it without --nnodes.",
            )
        return NodeRanks(num_nodes=self._num_nodes, per_node=num_ranks // self._num_nodes)

    def _has_slot(self, num_ranks: int) -> bool:
        if len(self._taken) >= self._max_trials:
            return False
        used = sum(count for count, _ in self._taken.values())
        return not self._taken or self._num_ranks is None or used + num_ranks <= self._num_ranks

    def _num_gpus(self, job: Job) -> int:
        if not self._uses_gpus:
            return 0
        return len(self._all_gpus) if job.takes_all_gpus else self.node_ranks(job).per_node

    @property
    def _all_gpus(self) -> tuple[str, ...]:
        if self._gpus is None:
            found = find_gpus() if self._uses_gpus else ()
            self._gpus = tuple(gpu.name_for_cuda for gpu in found)
            self._free_gpus = list(self._gpus)
            self._locks = GpuLocks({gpu.name_for_cuda: gpu.identity for gpu in found})
        return self._gpus

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
        return len(claimed) == count


class GpuLocks:
    """Claims GPUs by name, across every papergen on the machine: the kernel drops a lock with its holder.

    `identities` says which GPU a name stands for, where two names may be one GPU.
    """

    def __init__(self, identities: Mapping[str, str] | None = None, folder: Path | None = None) -> None:
        self._identities = dict(identities or {})
        self._folder = folder or FOLDER
        self._handles: dict[str, int] = {}

    def claim(self, name: str) -> bool:
        """Take the GPU; False when another process has it."""
        if name in self._handles:
            return True
        handle = self._open(self._folder / f"papergen-gpu-{slug(self._identities.get(name, name))}.lock")
        if handle is None:
            return True  # no lock can be made here; then there is nobody to agree with
        with contextlib.suppress(OSError):  # no locks on this file system: likewise
            if not try_lock(handle):
                os.close(handle)
                return False
        self._handles[name] = handle
        return True

    def release(self, name: str) -> None:
        """Let others have it."""
        if (handle := self._handles.pop(name, None)) is not None:
            os.close(handle)

    def close(self) -> None:
        """Let others have all."""
        for name in list(self._handles):
            self.release(name)

    @staticmethod
    def _open(path: Path) -> int | None:
        """The lock file, which any user may have made. Opened for reading, which is enough for flock: another user's
        file cannot be opened for writing, as filelock and lockf want it.
        """
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        # Open, else make, else open what somebody else has made in between.
        for extra in (0, os.O_CREAT | os.O_EXCL, 0):
            try:
                return os.open(path, flags | extra, 0o644)
            except (FileNotFoundError, FileExistsError):
                continue
            except OSError:
                return None
        return None
