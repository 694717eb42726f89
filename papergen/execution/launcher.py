"""What a launcher is given, what it tells while a trial runs, and what it hands back."""

from __future__ import annotations

import abc
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

from papergen.execution.devices import choose_device, find_gpus
from papergen.execution.multihost.nodes import Nodes
from papergen.execution.settings import LaunchSettings, RunSettings
from papergen.store.failures import Failure
from papergen.store.records import Trial

PRELOADS: Mapping[str, Sequence[str]] = {
    "numpy": ("numpy", "numpy.random"),
    "torch": ("torch", "torch.distributed", "torch.nn.parallel", "torch.utils.data"),
    "transformers": (
        "transformers.modeling_utils",
        "transformers.generation.utils",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
        "transformers.models.gpt2.modeling_gpt2",
    ),
    "tokenizers": ("tokenizers",),
    "scipy": ("scipy.stats",),
}
"""Library -> modules worth importing once for all trials that use it; none of them starts a thread or touches CUDA."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial to run: what is its own beside the settings. `folder` holds trial.json already, and `scratch` exists."""

    trial: Trial
    folder: Path
    scratch: Path
    """What attempts at this trial leave for the next one."""
    kind_file: Path
    project: Path
    upstream: Mapping[str, Path]
    num_threads: int
    """CPU threads of each rank."""
    takes_all_gpus: bool = False
    """Every GPU of the machine, not one per rank (DataParallel is one process on all of them)."""
    models: Sequence[tuple[str, str, str]] = ()
    """Models (loader, path or Hub id, dtype) that the trial loads, for the fork server to hold in memory."""
    preload: Sequence[str] | None = None
    """Modules that the fork server imports before it forks; None: by the libraries in the trial's digest."""

    @property
    def modules(self) -> tuple[str, ...]:
        """`preload`, derived from the libraries that the trial's code imports where it is not given."""
        if self.preload is not None:
            return tuple(self.preload)
        libraries = self.trial.parts.get("libraries", {})
        return tuple(module for library, modules in PRELOADS.items() if library in libraries for module in modules)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, all paths absolute, for a process on another machine."""
        data = {item.name: getattr(self, item.name) for item in fields(self)}
        paths = {name: str(value.resolve()) for name, value in data.items() if isinstance(value, Path)}
        upstream = {name: str(path.resolve()) for name, path in self.upstream.items()}
        return {**data, **paths, "trial": self.trial.to_json(), "upstream": upstream}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """The job written by `to_json`."""
        paths = {name: Path(data[name]) for name in ("folder", "scratch", "kind_file", "project")}
        upstream = {name: Path(path) for name, path in data["upstream"].items()}
        return cls(**{**data, **paths, "trial": Trial.from_json(data["trial"], where), "upstream": upstream})


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something to show while a trial runs: "progress" (done, total, fields), "log" (step, metrics), "note" (text)."""

    job: Job
    kind: Literal["progress", "log", "note"]
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial that is over; every process it had is gone. Without a failure, outcome.json lies in its folder."""

    job: Job
    failure: Failure | None
    machine: Mapping[str, Any]
    """What rank 0 reported (device, gpus, num_threads, backend), plus load_average at the start."""
    started: str
    """UTC, ISO 8601."""
    ended: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """How well a launcher suits this machine and request: the fittest one is chosen, and the reason printed."""

    score: int
    """0: not at all."""
    reason: str


class Launcher(abc.ABC):
    """Runs trials in processes of their own and says how they end. A context manager: on exit no process is left.

    Use one launcher from one thread, which must outlive it: the kernel ends the workers with that thread.
    """

    name: ClassVar[str]
    spans_hosts: ClassVar[bool] = False
    """Whether it takes part in `--nnodes`."""
    restarts_ranks: ClassVar[bool] = False
    """Whether it takes `--max-restarts`."""

    @classmethod
    @abc.abstractmethod
    def fitness(cls) -> Fitness:
        """How well this launcher suits this machine."""

    @classmethod
    def device(cls, requested: str, settings: LaunchSettings) -> tuple[str, str]:
        """The device of its ranks for "auto", "cpu" or "cuda", and why; MachineError when it cannot be had."""
        return choose_device(requested)

    @classmethod
    def num_gpus(cls, device: str, settings: LaunchSettings) -> int:
        """How many GPUs one trial may have on a machine that runs it, which need not be this one."""
        return len(find_gpus()) if device == "cuda" else 0

    @classmethod
    def place(cls, settings: LaunchSettings) -> str:
        """The machine, or kind of machine, that `device` and `num_gpus` speak of."""
        return platform.node()

    @classmethod
    @abc.abstractmethod
    def from_settings(cls, project: Path, settings: RunSettings, *, nodes: Nodes | None = None) -> Self:
        """The launcher for one run-exp; `nodes` are the other machines, for one that `spans_hosts`."""

    def holds(self, trial: Trial) -> bool:
        """Whether an attempt at the trial that an earlier run-exp began goes on; `submit` then takes it over."""
        return False

    @abc.abstractmethod
    def has_room(self, num_ranks: int) -> bool:
        """Whether a trial of so many ranks would start at once."""

    @abc.abstractmethod
    def submit(self, job: Job) -> None:
        """Start the trial, or queue it until there is room. Faults come as its Ended."""

    @abc.abstractmethod
    def wait(self, timeout_s: float | None = None) -> Sequence[Event | Ended]:
        """Sleep until there is something to tell, at most `timeout_s`; empty when that passed or nothing runs."""

    @abc.abstractmethod
    def cancel(self, job: Job) -> None:
        """End the trial; its Ended, a failure, comes from `wait`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Kill every process that was started and forget the queue."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
