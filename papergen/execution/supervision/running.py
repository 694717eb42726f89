"""A trial under way: its spec, its watch, how far its end has come, and what is told of it when it is over."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from papergen.execution.launcher import Job
from papergen.execution.settings import RunSettings
from papergen.execution.supervision.watch import Fault, Watch
from papergen.execution.worker.spec import Share, Spec
from papergen.store.failures import Failure
from papergen.store.runs import Run

LOG_LINES = 20
"""Of a rank that left no traceback."""


@dataclass(kw_only=True)
class Running:
    """A trial under way."""

    job: Job
    spec: Spec
    share: Share
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
    meeting: Mapping[str, str] | None = None
    """The variables by which ranks that were started again meet; None before the first of them reports."""

    def renew(self, watch: Watch, meeting: Mapping[str, str]) -> None:
        """Forget a start that came to nothing: an empty folder but for trial.json, and another port."""
        clear(self.job.folder)
        environment = {**self.spec.environment, **meeting}
        self.spec = dataclasses.replace(self.spec, environment=environment)
        self.num_starts += 1
        self.watch_anew(watch)

    def watch_anew(self, watch: Watch) -> None:
        """From now on other processes are the ranks."""
        self.watch = watch
        self.is_told_to_finish = self.is_killed = False
        self.end_at = self.kill_at = self.read_stacks_at = None


def clear(attempt: Path, *, keep_logs: bool = False) -> None:
    """Empty an attempt's folder but for trial.json, and for the logs where they go on."""
    kept = Run(attempt).trial_file.name
    for path in attempt.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != kept and not (keep_logs and path.suffix == ".log"):
            path.unlink()


def spec_of(
    job: Job, settings: RunSettings, name: str, *, gpus: Sequence[str], address: str, meeting: Mapping[str, str]
) -> Spec:
    """What the ranks of a job are told; `address` is where they report, `meeting` the variables by which they meet."""
    threads = str(job.num_threads)
    return Spec(
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
            **meeting,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
            # A trial on the CPU cannot touch a GPU that another one is timed on.
            "CUDA_VISIBLE_DEVICES": ",".join(gpus),
        },
    )


def start_message(running: Running, share: Share) -> dict[str, Any]:
    """What another machine is told to start; it knows the trial, and finds files, GPUs and interface itself."""
    ours = {"CUDA_VISIBLE_DEVICES", "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"}
    environment = {name: value for name, value in running.spec.environment.items() if name not in ours}
    return {
        "do": "start",
        "job": running.spec.job,
        "digest": running.job.trial.digest,
        "stamp": Run(running.job.folder).trial_file.stat().st_mtime_ns,
        "share": share.to_json(),
        "settings": running.spec.settings.to_json(),
        "num_threads": running.job.num_threads,
        "environment": environment,
        "modules": list(running.job.modules),
    }


def meeting_here(port: int) -> dict[str, str]:
    """The variables by which ranks on one machine meet."""
    names = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **names}


def failure_of(running: Running, fault: Fault) -> Failure:
    """The fault for the record, with the end of the rank's log where it left no traceback."""
    log = Run(running.job.folder).rank_log(fault.rank or 0)
    # A log that lies on another machine came with the news of the rank's end.
    lines = list(tail(log)) or running.watch.ranks[fault.rank or 0].tail
    traceback = fault.traceback or "\n".join(lines)
    return Failure(
        kind=fault.kind,
        rank=fault.rank,
        cause=fault.cause,
        traceback=traceback,
        advice=fault.advice,
        log=str(log) if log.exists() else "",
        attempts=running.restarts,
    )


def tail(path: Path, num_bytes: int = 8192, num_lines: int = LOG_LINES) -> Iterator[str]:
    """The last lines of a log, which may be huge."""
    if not path.exists():
        return iter(())
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - num_bytes))
        lines = stream.read().decode(errors="replace").splitlines()
    return iter(lines[-num_lines:])


def stack_lines(log: Path) -> list[str]:
    """As much of a rank's log as holds the stacks that it was asked for."""
    return list(tail(log, num_bytes=32768, num_lines=400))


def utc(seconds: float) -> str:
    """UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
