"""What a rank is told: which trial, where its files lie, on what it computes, and whom to report to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from papergen.execution.settings import RunSettings

JOB_VARIABLE = "PAPERGEN_JOB"
"""Environment variable that a rank and all that it starts carry: which attempt they belong to."""

SAVE_VARIABLE = "PAPERGEN_SAVE_ON_SIGTERM"
"""Environment variable under which SIGTERM asks a rank to save its state: SLURM sends it to every process of a job."""

AGENT_RANK = -1
"""The rank under which an agent reports: the process of torch that starts the ranks, and is none."""

BEAT_S = 1.0
"""Seconds between two signs of life of a rank."""


@dataclass(frozen=True, kw_only=True)
class RankSpec:
    """A trial as its ranks see it; the same for all of them. All paths are absolute."""

    job: str
    """The launcher's name for this attempt."""
    folder: str
    scratch: str
    kind_file: str
    project: str
    upstream: Mapping[str, str]
    settings: RunSettings
    num_threads: int
    address: str = ""
    """Path of the launcher's Unix socket; "" when nobody listens (a rank started by hand)."""
    models: Sequence[Sequence[str]] = field(default_factory=list)
    """Models (loader, path or Hub id, dtype) that the fork server holds in memory for trials like this one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables set in every rank before anything is imported."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {**{item.name: getattr(self, item.name) for item in fields(self)}, "settings": self.settings.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The spec written by `to_json`."""
        return cls(**{**data, "settings": RunSettings.from_json(data["settings"])})


@dataclass(frozen=True, kw_only=True)
class NodeRanks:
    """The part of a trial's ranks that runs on one machine: `per_node` consecutive ones."""

    node: int = 0
    num_nodes: int = 1
    per_node: int

    @property
    def world_size(self) -> int:
        """Ranks on all machines."""
        return self.num_nodes * self.per_node

    @property
    def ranks(self) -> range:
        """The ranks of this machine."""
        return range(self.node * self.per_node, (self.node + 1) * self.per_node)

    def rank_ids(self) -> Sequence[RankId]:
        """One for each of this machine's ranks."""
        return [
            RankId(rank=rank, local_rank=local, world_size=self.world_size, local_world_size=self.per_node)
            for local, rank in enumerate(self.ranks)
        ]

    def to_json(self) -> dict[str, int]:
        """Plain JSON data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class RankId:
    """Which of the trial's processes this one is."""

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int

    @classmethod
    def from_environment(cls) -> Self:
        """As torchrun and our own launchers set it; one rank alone where nothing is set."""
        rank = int(os.environ.get("RANK", "0"))
        world_size = os.environ.get("WORLD_SIZE", "1")
        return cls(
            rank=rank,
            local_rank=int(os.environ.get("LOCAL_RANK", str(rank))),
            world_size=int(world_size),
            local_world_size=int(os.environ.get("LOCAL_WORLD_SIZE", world_size)),
        )

    def environment(self) -> dict[str, str]:
        """The variables of the env:// rendezvous that differ between the ranks of a trial."""
        return {
            "RANK": str(self.rank),
            "LOCAL_RANK": str(self.local_rank),
            "WORLD_SIZE": str(self.world_size),
            "LOCAL_WORLD_SIZE": str(self.local_world_size),
        }
