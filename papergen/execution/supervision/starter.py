"""What starts the ranks of a trial on this machine, and whom it tells what becomes of them."""

from __future__ import annotations

import abc
import selectors
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from papergen.execution.supervision.rank_server import Message, RankServer
from papergen.execution.worker.spec import NodeRanks, RankSpec
from papergen.store.failures import FailureKind


class RankListener(Protocol):
    """Who is told what becomes of the ranks: a supervisor, or the follower of one on another machine."""

    def started(self, job: str, pids: Mapping[int, int]) -> None:
        """The ranks of a trial have these processes, each leading a process group of its own."""

    def exited(self, job: str, rank: int, status: int | None) -> None:
        """A rank's process is gone, with this status where it is known (negative: a signal)."""

    def lost(self, job: str, kind: FailureKind, cause: str, *, traceback: str, with_ranks: bool) -> None:
        """What starts the trial's ranks is gone: those without a process get none; `with_ranks`: the others ended."""


class Starter(abc.ABC):
    """Starts ranks and tells its listener what becomes of them. One per launcher, on its selector."""

    def __init__(self, listener: RankListener, server: RankServer, selector: selectors.BaseSelector) -> None:
        self.listener = listener
        self.server = server
        self.selector = selector

    @abc.abstractmethod
    def start(self, spec: RankSpec, node_ranks: NodeRanks, modules: Sequence[str]) -> None:
        """Start this machine's share of a trial's ranks; `modules` are worth importing beforehand."""

    @abc.abstractmethod
    def ready(self, source: Any) -> None:
        """Something that was registered with the selector can be read."""

    # Not every starter need know of these.

    def said_hello(self, job: str, rank: int, pid: int) -> None:  # noqa: B027
        """A rank has begun, in this process."""

    def heard_from_agent(self, job: str, message: Message) -> None:  # noqa: B027
        """The process that starts a trial's ranks has something to say."""

    def forget(self, job: str) -> None:  # noqa: B027
        """The trial's ranks have ended and are started again by what started them: their ends are no news any more."""

    def over(self, job: str) -> None:  # noqa: B027
        """The trial is over: release what `start` took."""

    def close(self) -> None:  # noqa: B027
        """Kill every process that was started beside the ranks."""

    def environment(self, environment: Mapping[str, str], node_ranks: NodeRanks) -> dict[str, str]:
        """The variables of a spec as they suit this starter."""
        return dict(environment)
