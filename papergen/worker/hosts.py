"""Processes that start a trial's ranks by torch's own means and tell the launcher which of them failed, and how."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from papergen.worker.channel import Channel
from papergen.worker.rank import run_here
from papergen.worker.spec import HOST_RANK, Place, Spec
from papergen.worker.system import die_with_parent, lead_own_group

if TYPE_CHECKING:
    from collections.abc import Sequence


def spawn(spec: Spec, world_size: int) -> int:
    """Start the ranks by torch.multiprocessing; the exit status of the trial."""
    from torch.multiprocessing.spawn import ProcessExitedException, start_processes

    os.environ.update(spec.environment)
    channel = Channel(spec.address, spec.job, HOST_RANK)
    try:
        start_processes(  # type: ignore[no-untyped-call]
            _spawned, args=(spec, world_size, os.getpid()), nprocs=world_size, start_method="spawn"
        )
    except ProcessExitedException as error:
        channel.send("rank_exited", failed=error.error_index, status=error.exit_code)
        return 1
    return 0


def _spawned(rank: int, spec: Spec, world_size: int, parent: int) -> None:
    # torch asks for SIGINT on its parent's death, which a shell's background job ignores: that would leave orphans.
    die_with_parent(parent)
    lead_own_group()
    os.environ.update(Place(rank=rank, local_rank=rank, world_size=world_size).environment())
    run_here(spec)


def torchrun(spec: Spec, world_size: int, rank_command: Sequence[str]) -> int:
    """Start the ranks by torch's elastic agent, as `torchrun --standalone` does; the exit status of the trial."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.update(spec.environment)
    channel = Channel(spec.address, spec.job, HOST_RANK)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=world_size,
        run_id=spec.job,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.1,
    )
    try:
        elastic_launch(config, sys.executable)(*rank_command)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        channel.send("rank_exited", failed=rank, status=failure.exitcode)
        return 1
    return 0
