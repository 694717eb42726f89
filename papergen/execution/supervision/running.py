"""A trial under way: its spec, its watch, how far its end has come, and what is told of it when it is over."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from papergen.execution.launcher import Job
from papergen.execution.settings import RunSettings
from papergen.execution.supervision.watch import Watch
from papergen.execution.worker.spec import NodeRanks, RankSpec
from papergen.store.runs import Run


@dataclass(kw_only=True)
class RunningTrial:
    """A trial under way."""

    job: Job
    spec: RankSpec
    node_ranks: NodeRanks
    watch: Watch
    started: float
    """Seconds since the epoch."""
    began_at: float
    load_average: float
    num_starts: int = 1
    is_told_to_finish: bool = False
    weigh_at: float = 0.0
    """When its memory is looked at next."""
    end_at: float | None = None
    """When the ranks of a trial that must end are asked to."""
    kill_at: float | None = None
    is_killed: bool = False
    read_stacks_at: float | None = None
    """When the stacks that the ranks were asked for are read."""
    restarts: list[str] = field(default_factory=list)
    """Why the ranks were started again, oldest first."""
    rendezvous: Mapping[str, str] | None = None
    """The variables by which ranks that were started again meet; None before the first of them reports."""

    def renew(self, watch: Watch, rendezvous: Mapping[str, str]) -> None:
        """Forget a start that came to nothing: an empty folder but for trial.json, and another port."""
        Run(self.job.folder).clear()
        environment = {**self.spec.environment, **rendezvous}
        self.spec = dataclasses.replace(self.spec, environment=environment)
        self.num_starts += 1
        self.watch_anew(watch)

    def watch_anew(self, watch: Watch) -> None:
        """From now on other processes are the ranks."""
        self.watch = watch
        self.is_told_to_finish = self.is_killed = False
        self.end_at = self.kill_at = self.read_stacks_at = None


def spec_of(
    job: Job, settings: RunSettings, name: str, *, gpus: Sequence[str], address: str, rendezvous: Mapping[str, str]
) -> RankSpec:
    """What the ranks of a job are told; `address` is where they report, `rendezvous` how they meet."""
    threads = str(job.num_threads)
    return RankSpec(
        job=name,
        folder=str(job.folder.resolve()),
        scratch=str(job.scratch.resolve()),
        kind_file=str(job.kind_file.resolve()),
        project=str(job.project.resolve()),
        upstream={parameter: str(path.resolve()) for parameter, path in job.upstream.items()},
        settings=settings,
        num_threads=job.num_threads,
        address=address,
        models=[list(model) for model in job.models] if settings.device == "cpu" else [],
        environment={
            **rendezvous,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
            # A trial on the CPU cannot touch a GPU that another one is timed on.
            "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        },
    )


def start_message(running: RunningTrial, node_ranks: NodeRanks) -> dict[str, Any]:
    """What another machine is told to start; it knows the trial, and finds files, GPUs and interface itself."""
    ours = {"CUDA_VISIBLE_DEVICES", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"}
    environment = {name: value for name, value in running.spec.environment.items() if name not in ours}
    return {
        "do": "start",
        "job": running.spec.job,
        "digest": running.job.trial.digest,
        "stamp": Run(running.job.folder).trial_file.stat().st_mtime_ns,
        "node_ranks": node_ranks.to_json(),
        "settings": running.spec.settings.to_json(),
        "num_threads": running.job.num_threads,
        "environment": environment,
        "modules": list(running.job.modules),
    }
