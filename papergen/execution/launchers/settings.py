"""How a project's trials are launched: `launch.yaml`, changed by `--launch KEY=VALUE`. Generic words, for any cluster.

It decides where and when trials run, never what comes out: nothing here reaches a digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from papergen.config import checked
from papergen.core.errors import PapergenError
from papergen.core.strict_yaml import parse_yaml, read_yaml

FILE = "launch.yaml"

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")


class LaunchSettings(BaseModel):
    """The settings, each with what it means."""

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


def read_settings(project: Path, changes: Sequence[str] = ()) -> LaunchSettings:
    """launch.yaml of a project (it need not be there) with `--launch KEY=VALUE` applied; all faults at once."""
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
