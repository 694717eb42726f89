"""One run-exp on several machines: the same command is typed on each, node 0 decides and publishes, the others follow.

The project folder may be shared or a copy on each machine; every machine runs the trials of its own plan, by digest.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from papergen.core.errors import PapergenError
from papergen.execution.devices import find_gpus
from papergen.execution.launcher import Job
from papergen.execution.multihost.follower import Follower, join
from papergen.execution.multihost.network import (
    Endpoint,
    check_endpoint,
    check_interfaces,
    interface_environment,
    listen,
)
from papergen.execution.multihost.nodes import NodeLine, Nodes
from papergen.execution.run_trials import upstream_of
from papergen.execution.settings import RunSettings
from papergen.execution.slots import GpuLocks
from papergen.execution.supervision.rank_server import Message
from papergen.execution.supervision.running import spec_of
from papergen.execution.supervision.starter import Starter
from papergen.execution.worker.spec import RankSpec
from papergen.experiment.code_guard import CodeGuard, refusal
from papergen.experiment.kind import Kind
from papergen.store.records import Trial
from papergen.store.runs import Store

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Rendezvous:
    """How the machines of a run find each other: --nnodes, --rdzv-endpoint, --node-rank, --join-timeout."""

    num_nodes: int
    endpoint: Endpoint
    node: int | None
    """Number of this machine; None: 0 where the endpoint's address is this machine's, else the next free number."""
    timeout_s: float

    def __post_init__(self) -> None:
        if self.node is not None and not 0 <= self.node < self.num_nodes:
            raise PapergenError(
                f"--node-rank {self.node}: with --nnodes {self.num_nodes} the nodes are 0 to {self.num_nodes - 1}."
            )


@dataclass(frozen=True, kw_only=True)
class Role:
    """What this machine is in the run."""

    is_first: bool
    address: str
    """Numeric address of node 0."""


def role_of(rendezvous: Rendezvous) -> Role:
    """Which machine this is; every fault of the network that can be seen beforehand is told with what to type."""
    check_interfaces()
    address, is_ours = check_endpoint(rendezvous.endpoint)
    node = rendezvous.node
    if node is None and ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        raise PapergenError(
            f"--rdzv-endpoint {rendezvous.endpoint}: on loopback every node looks like node 0.",
            hint="Type --node-rank 0 in one place and --node-rank 1 in the other.",
        )
    return Role(is_first=is_ours if node is None else node == 0, address=address)


def plan_of(trials: Sequence[Trial]) -> dict[str, str]:
    """What every machine must have in common."""
    return {trial.label: trial.digest for trial in trials}


def open_nodes(rendezvous: Rendezvous, role: Role, trials: Sequence[Trial], say: Say) -> Nodes:
    """Listen for the other machines, on node 0."""
    listener = listen(rendezvous.endpoint, role.address)
    others = rendezvous.num_nodes - 1
    say(
        f"node 0 of {rendezvous.num_nodes}, at {rendezvous.endpoint}: waiting for {others} more. "
        f"Type the same command there (for at most {rendezvous.timeout_s:g} s)."
    )
    return Nodes(listener, num_nodes=rendezvous.num_nodes, trials=plan_of(trials), say=say)


def follow(
    rendezvous: Rendezvous,
    role: Role,
    *,
    trials: Sequence[Trial],
    kinds: Mapping[str, Kind],
    store: Store,
    starter_class: type[Starter],
    say: Say,
) -> None:
    """Serve node 0 until the run is over; nothing is published here. MachineError when node 0 is lost."""
    line, node = join(
        [Endpoint(role.address, rendezvous.endpoint.port)],
        node=rendezvous.node,
        num_nodes=rendezvous.num_nodes,
        trials=plan_of(trials),
        timeout_s=rendezvous.timeout_s,
        say=say,
    )
    say(f"node {node} of {rendezvous.num_nodes}, following node 0 at {rendezvous.endpoint}")
    with contextlib.ExitStack() as held:
        preparing = _Preparing(trials, kinds, store, line, held, say)
        Follower(line, starter_class, preparing.spec).serve()
    say("The run is over; node 0 has the results.")


class _Preparing:
    """From what node 0 says to what this machine's ranks are told."""

    def __init__(
        self,
        trials: Sequence[Trial],
        kinds: Mapping[str, Kind],
        store: Store,
        line: NodeLine,
        held: contextlib.ExitStack,
        say: Say,
    ) -> None:
        self._by_digest = {trial.digest: trial for trial in trials}
        self._guard = CodeGuard(store.project, kinds, trials)
        self._kinds, self._store, self._say = kinds, store, say
        self._line, self._held = line, held
        self._locks: GpuLocks | None = None
        self._is_alone = False
        """Whether this machine has a project folder of its own, which no other run-exp may use meanwhile."""

    def spec(self, message: Message, address: str) -> RankSpec:
        trial = self._by_digest[message["digest"]]
        if files := self._guard.changed(trial):
            raise PapergenError(refusal(files))
        run, scratch = self._store.attempt(trial), self._store.scratch(trial)
        upstream = upstream_of(self._store, trial, self._by_digest)
        if not self._is_shared(run.trial_file, message["stamp"]):
            if not self._is_alone:
                self._held.enter_context(self._store.held())
                self._is_alone = True
            run = self._store.begin(trial)
        self._say(f"start   {trial.label}: ranks {_span(message['node_ranks'])}")
        job = Job(
            trial=trial,
            folder=run.folder,
            scratch=scratch,
            kind_file=self._kinds[trial.kind].path,
            project=self._store.project,
            upstream=upstream,
            num_threads=message["num_threads"],
        )
        settings = RunSettings.from_json(message["settings"])
        rendezvous = {**message["environment"], **interface_environment(self._line.socket.getsockname()[0])}
        gpus = self._gpus(message["node_ranks"]["per_node"]) if settings.device == "cuda" else []
        return spec_of(job, settings, message["job"], gpus=gpus, address=address, rendezvous=rendezvous)

    @staticmethod
    def _is_shared(path: os.PathLike[str], stamp: int) -> bool:
        """Whether node 0 wrote this very file: then the folder is one for all machines."""
        try:
            return os.stat(path).st_mtime_ns == stamp  # noqa: PTH116
        except OSError:
            return False

    def _gpus(self, count: int) -> list[str]:
        """GPUs of this machine that no other papergen uses; they are kept until the run is over."""
        found = find_gpus()
        if self._locks is None:
            self._locks = GpuLocks({gpu.name_for_cuda: gpu.identity for gpu in found})
            self._held.callback(self._locks.close)
        gpus = [gpu.name_for_cuda for gpu in found if self._locks.claim(gpu.name_for_cuda)]
        if len(gpus) < count:
            raise PapergenError(
                f"the trial needs {count} GPUs on this node, which has {len(gpus)} of {len(found)} free."
            )
        return gpus[:count]


def _span(node_ranks: Mapping[str, int]) -> str:
    first = node_ranks["node"] * node_ranks["per_node"]
    last = first + node_ranks["per_node"] - 1
    return str(first) if first == last else f"{first} to {last}"
