"""Ranks started by torch (spawn, or the elastic agent of torchrun), and the launcher told which of them failed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from papergen.execution.worker.channel import Channel
from papergen.execution.worker.rank import run_here
from papergen.execution.worker.spec import AGENT_RANK, NodeRanks, RankSpec
from papergen.execution.worker.system import die_with_parent, lead_own_group, parents

if TYPE_CHECKING:
    from collections.abc import Sequence


def spawn(spec: RankSpec, node_ranks: NodeRanks) -> int:
    """Start this machine's ranks by torch.multiprocessing; the exit status of the trial."""
    from torch.multiprocessing.spawn import ProcessExitedException, start_processes

    os.environ.update(spec.environment)
    channel = Channel(spec.address, spec.job, AGENT_RANK)
    try:
        start_processes(  # type: ignore[no-untyped-call]
            _spawned, args=(spec, node_ranks, os.getpid()), nprocs=node_ranks.per_node, start_method="spawn"
        )
    except ProcessExitedException as error:
        channel.send("rank_exited", failed=node_ranks.ranks[error.error_index], status=error.exit_code)
        return 1
    return 0


def _spawned(local_rank: int, spec: RankSpec, node_ranks: NodeRanks, parent: int) -> None:
    # torch asks for SIGINT on its parent's death, which a shell's background job ignores: that would leave orphans.
    die_with_parent(parent)
    lead_own_group()
    os.environ.update(node_ranks.rank_ids()[local_rank].environment())
    run_here(spec)


def torchrun(spec: RankSpec, node_ranks: NodeRanks, rank_command: Sequence[str]) -> int:
    """Start this machine's ranks by torch's elastic agent, as `torchrun` does; the exit status of the trial.

    After a failure the agent ends all ranks and starts them again, `spec.settings.max_restarts` times.
    On one machine the agent finds a port of its own; on several they meet at the spec's MASTER_ADDR and MASTER_PORT.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.update(spec.environment)
    channel = Channel(spec.address, spec.job, AGENT_RANK)
    if node_ranks.num_nodes == 1:
        backend, endpoint, address = "c10d", "127.0.0.1:0", "127.0.0.1"
    else:
        # With c10d every host waited for another to be the rendezvous where a hostname resolves to loopback; static
        # addresses do not ask (seen with torch 2.13).
        address = os.environ["MASTER_ADDR"]
        backend, endpoint = "static", f"{address}:{os.environ['MASTER_PORT']}"
    config = LaunchConfig(
        min_nodes=node_ranks.num_nodes,
        max_nodes=node_ranks.num_nodes,
        nproc_per_node=node_ranks.per_node,
        run_id=spec.job,
        rdzv_backend=backend,
        rdzv_endpoint=endpoint,
        rdzv_configs={"rank": node_ranks.node} if backend == "static" else {},
        local_addr=address if node_ranks.node == 0 else None,
        max_restarts=spec.settings.max_restarts,
        monitor_interval=0.1,
    )
    told: set[int] = set()
    signal.signal(signal.SIGCHLD, lambda *_: _tell_ended(channel, told))
    try:
        elastic_launch(config, sys.executable)(*rank_command)
    except ChildFailedError as error:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it must not interrupt what is being sent
        rank, failure = error.get_first_failure()
        channel.send("rank_exited", failed=rank, status=failure.exitcode)
        return 1
    return 0


def _tell_ended(channel: Channel, told: set[int]) -> None:
    """Tell how children have ended, and leave them to the agent: where it starts them again it tells nobody how."""
    for pid, parent in parents().items():
        if parent != os.getpid() or pid in told:
            continue
        with contextlib.suppress(ChildProcessError):
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
            if ended is not None:
                told.add(pid)
                is_exit = ended.si_code == os.CLD_EXITED
                channel.send("child_ended", pid=pid, status=ended.si_status if is_exit else -ended.si_status)
