"""How a run-exp runs its trials: `RunOptions` as typed, `LaunchSettings` of launch.yaml, and `RunSettings` of both.

launch.yaml has generic words, for any cluster; `--launch KEY=VALUE` changes one. All of this decides where and when
trials run, never what comes out: nothing here reaches a digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from papergen.core.errors import PapergenError

FILE = "launch.yaml"

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")


class LaunchSettings(BaseModel):
    """The settings of launch.yaml, each with what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    launcher: str = Field(default="auto", description="Launcher for this project, unless --launcher names another.")
    jobs: int | None = Field(default=None, ge=1, description="Trials at a time, unless --jobs says otherwise.")
    partition: str = Field(default="", description="Partition (queue) of the cluster.")
    account: str = Field(default="", description="Account that is charged.")
    qos: str = Field(default="", description="Quality of service.")
    time: str = Field(default="", description="How long a trial may stay on the cluster: 90m, 4h, 1d12h or HH:MM:SS.")
    cpus_per_rank: int = Field(default=1, ge=1, description="CPU cores for each rank.")
    gpus_per_rank: int | None = Field(
        default=None, ge=0, le=1, description="1: a GPU for each rank; by default one with --device cuda, else none."
    )
    gpu_type: str = Field(default="", description="Kind of GPU as the cluster names it, for example a100.")
    memory_per_rank: str = Field(default="", description="Memory for each rank: 16G.")
    ranks_per_node: int | None = Field(
        default=None, ge=1, description="Ranks on one node; by default all of a trial's ranks share a node."
    )
    requeue: bool = Field(default=True, description="Whether the cluster may start a preempted trial again.")
    setup: list[str] = Field(default=[], description="Shell lines run before each trial: module load cuda/12.")
    sbatch: list[str] = Field(default=[], description="Further options of sbatch, word by word: --constraint=ib.")
    poll_s: float = Field(default=5.0, gt=0, description="Seconds between two looks at the cluster's queue.")

    @field_validator("time")
    @classmethod
    def _time(cls, value: str) -> str:
        if value and _minutes(value) is None:
            raise ValueError(f"time = {value!r}: write 90m, 4h, 1d12h or HH:MM:SS.")
        return value

    @field_validator("memory_per_rank")
    @classmethod
    def _memory(cls, value: str) -> str:
        if value and not re.fullmatch(r"[1-9]\d*[KMGT]", value):
            raise ValueError(f"memory_per_rank = {value!r}: write a whole number with K, M, G or T, for example 16G.")
        return value

    @property
    def time_minutes(self) -> int | None:
        """`time` in minutes, rounded up; None where it is not set."""
        return _minutes(self.time) if self.time else None


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long the supervision of a trial waits before it acts, in seconds."""

    settle_s: float = 1.0
    """For the cause, after a rank said only that its peers are gone."""
    grace_s: float = 3.0
    """Between asking the ranks of a failed trial to end and killing them."""
    linger_s: float = 10.0
    """For a rank to end after the trial is recorded."""
    early_s: float = 10.0
    """For the others, idle, after a rank returned."""
    hang_s: float = 8.0
    """Without progress and CPU time in any rank, before their stacks are read for one that hangs; 0: never."""
    standing_s: float = 12.0
    """Seen at the same place and silent, before a rank is asked where it stands and named."""
    unpaced_s: float = 60.0
    """Likewise and idle, before one ends its trial that has not yet shown at which pace it steps."""
    silent_s: float = 30.0
    """Without a sign of life from a rank that uses no CPU time either; half of it when the rank is stopped."""
    node_s: float = 13.0
    """Without a sign of life from another machine: after 6 s without a cable TCP needs so long."""
    check_s: float = 2.0
    """Between two looks at ranks that are under suspicion."""
    stall_s: float = 600.0
    """Without progress from ranks that compute nothing, before the trial is ended."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What run-exp is asked for: the options of its command line, by name. Its help explains them."""

    names: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    seeds: str | None = None
    presets: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    launcher: str | None = None
    launch: tuple[str, ...] = ()
    num_nodes: int = 1
    rdzv_endpoint: str | None = None
    node_rank: int | None = None
    join_timeout_s: float
    force: bool = False
    jobs: int | None = None
    fail_fast: bool = False
    retries: int = 0
    max_restarts: int = 0
    time_limit_s: float | None = None
    hang_timeout_s: float
    memory_limit_gib: float | None = None
    as_json: bool = False
    dry_run: bool = False


class RunSettings(LaunchSettings):
    """How one run-exp runs its trials: launch.yaml and the options of the command, one object from there to a rank.

    What is a trial's own lies in its Job.
    """

    device: str = Field(default="cpu", description="cpu or cuda: where the ranks compute.")
    num_cores: int = Field(default=1, ge=1, description="Cores of one machine for each trial.")
    num_nodes: int = Field(default=1, ge=1, description="Machines that share a trial of several ranks (--nnodes).")
    retries: int = Field(default=0, ge=0, description="How often a trial is tried again after a failure that may pass.")
    max_restarts: int = Field(default=0, ge=0, description="How often torchrun starts the ranks of a trial again.")
    fail_fast: bool = Field(default=False, description="Whether no trial starts after a failed one.")
    time_limit_s: float | None = Field(default=None, gt=0, description="Seconds after which a trial is ended.")
    memory_limit_gib: float | None = Field(
        default=None, gt=0, description="Resident memory, over all processes that a trial has on one machine."
    )
    timeouts: Timeouts = Timeouts()

    @classmethod
    def over(cls, launch: LaunchSettings, **options: Any) -> Self:
        """launch.yaml with what the command line says; its `launcher` and `jobs` win."""
        return cls(**{**dict(launch), **options})

    @property
    def max_trials(self) -> int:
        """Trials at a time on this machine: one where nothing was asked for, so that timings are fair."""
        return self.jobs or 1

    def num_threads(self, num_ranks: int) -> int:
        """CPU threads for each rank of a trial of so many."""
        return max(1, self.num_cores // max(1, num_ranks // self.num_nodes))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The settings written by `to_json`."""
        return cls.model_validate(data, strict=False)


def read_settings(project: Path, changes: Sequence[str] = ()) -> LaunchSettings:
    """launch.yaml of a project (it need not be there) with `--launch KEY=VALUE` applied; all faults at once."""
    # Here, because every rank imports this module for `RunSettings` and reads no YAML: 0.04 s of CPU for each.
    from papergen.config import checked
    from papergen.core.strict_yaml import parse_yaml, read_yaml

    path = project / FILE
    document = read_yaml(path, FILE) if path.exists() else None
    data: dict[str, Any] = dict(document.data) if document is not None else {}
    places: dict[str, str] = {}
    for text in changes:
        name, equals, written = text.partition("=")
        place = f"--launch {text}"
        if not equals or not name:
            raise PapergenError(f"{place}: write KEY=VALUE, for example --launch partition=gpu.")
        value = parse_yaml(written, place)
        # "16" for a name and 4:00:00 for a time are text however YAML reads them.
        field = LaunchSettings.model_fields.get(name)
        data[name] = written if field is not None and field.annotation is str else value
        places[name] = place

    def where(*keys: str | int) -> str:
        if keys and str(keys[0]) in places:
            return places[str(keys[0])]
        return document.where(*keys) if document is not None else FILE

    return checked(LaunchSettings, data, where, heading="faults in how trials are launched")


def _minutes(text: str) -> int | None:
    if text and (found := _DURATION.fullmatch(text)):
        days, hours, minutes = (int(part or 0) for part in found.groups())
        return days * 1440 + hours * 60 + minutes or None
    if found := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return days * 1440 + hours * 60 + minutes + (1 if seconds else 0) or None
    return None
