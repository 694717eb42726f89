"""The other machines of a run, as its first one sees them: they join by TCP, are told what to start, and report.

JSON lines both ways. To a node (`do`): welcome, refused, start, finish, signal, over, end. From it (`event`): join,
rank, started, exited, vitals, fault, lost, beat. The network is trusted, as
torch.distributed trusts it; no message holds code.
"""

from __future__ import annotations

import contextlib
import json
import platform
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from papergen import __version__
from papergen.execution.multihost.network import keep_alive
from papergen.execution.supervision.rank_server import Line, Message

SEND_LIMIT_S = 10.0
"""For a node to take what it is told; a healthy one takes it at once."""
MAX_REFUSED = 5
"""Trials named when two plans differ."""


class NodeLine(Line):
    """The line to another machine."""

    def __init__(self, connection: socket.socket) -> None:
        keep_alive(connection)
        super().__init__(connection)
        self.node = -1
        self.host = ""
        self.heard_at = time.monotonic()
        self.ahead: list[Message] = []
        """What came together with the answer to joining."""

    def tell(self, message: Message) -> None:
        """Send a message whole; a line that is gone is noticed when it is read."""
        with contextlib.suppress(OSError):
            self.socket.settimeout(SEND_LIMIT_S)
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        with contextlib.suppress(OSError):
            self.socket.setblocking(False)


class Nodes:
    """Machines 1 to `num_nodes` - 1 of a run; this one is number 0."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        num_nodes: int,
        trials: Mapping[str, str],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`listener` is bound and listens; `trials` is the plan, label -> digest, that every machine must have."""
        self.num_nodes = num_nodes
        self._trials = trials
        self._say = say
        self._listener = listener
        self._listener.setblocking(False)
        self._selector: selectors.BaseSelector | None = None
        self._strangers: set[NodeLine] = set()
        self._lines: dict[int, NodeLine] = {}

    def attend(self, selector: selectors.BaseSelector) -> None:
        """Take part in a supervisor's loop: the listener and the lines are registered with it."""
        self._selector = selector
        selector.register(self._listener, selectors.EVENT_READ, self)

    @property
    def missing(self) -> Sequence[int]:
        """The numbers of the machines that are not there."""
        return [node for node in range(1, self.num_nodes) if node not in self._lines]

    @property
    def address(self) -> str:
        """Under which address the others reach this machine."""
        return str(next(iter(self._lines.values())).socket.getsockname()[0])

    def host(self, node: int) -> str:
        """The name of a machine."""
        return self._lines[node].host if node in self._lines else f"node {node}"

    def drop_silent(self, now: float, limit_s: float) -> Sequence[tuple[int, str, float]]:
        """Give up the machines of which nothing was heard for so long: number, name, seconds."""
        silent = [line for line in self._lines.values() if now - line.heard_at >= limit_s]
        for line in silent:
            self._drop(line)
        return [(line.node, line.host, now - line.heard_at) for line in silent]

    def accept(self) -> None:
        """Take in those who knock."""
        assert self._selector is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                line = NodeLine(connection)
                self._strangers.add(line)
                self._selector.register(connection, selectors.EVENT_READ, line)

    def read(self, line: NodeLine) -> tuple[list[Message], bool]:
        """What a machine said, and whether it is gone; joining is settled here."""
        try:
            messages, is_gone = line.read()
        except ValueError:  # not one of ours: a port scanner, a browser
            messages, is_gone = [], True
        line.heard_at = time.monotonic()
        told = []
        for message in messages:
            if line.node >= 0:
                told.append(message)
            elif not self._join(line, message):
                is_gone = True
        if is_gone:
            self._drop(line)
        return told, is_gone

    def tell(self, node: int, message: Message) -> None:
        """Send a machine a message; nothing happens when it is gone."""
        if node in self._lines:
            self._lines[node].tell(message)

    def close(self) -> None:
        """Tell all machines that the run is over."""
        for line in self._lines.values():
            line.tell({"do": "end"})
        for line in [*self._lines.values(), *self._strangers]:
            self._drop(line)
        if self._selector is not None:
            self._selector.unregister(self._listener)
        self._listener.close()

    def _join(self, line: NodeLine, message: Any) -> bool:
        if not isinstance(message, dict) or message.get("event") != "join":
            return False
        cause = self._why_not(message)
        if cause:
            self._say(f"{message.get('host')} was refused: {cause}")
            line.tell({"do": "refused", "cause": cause})
            return False
        node = message["node"] if message["node"] is not None else min(self.missing)
        line.node, line.host = node, str(message["host"])
        self._strangers.discard(line)
        self._lines[node] = line
        line.tell({"do": "welcome", "node": node, "num_nodes": self.num_nodes})
        self._say(f"node {node} of {self.num_nodes} has joined: {line.host}")
        return True

    def _why_not(self, message: Message) -> str:
        if found := difference(message.get("versions") or {}, versions_here()):
            return f"{found}. Install the same on every host"
        node = message.get("node")
        if message.get("num_nodes") != self.num_nodes:
            return f"it says --nnodes {message.get('num_nodes')}, node 0 says --nnodes {self.num_nodes}"
        if node is None and not self.missing:
            return f"all {self.num_nodes} nodes are here already"
        if node is not None and node not in self.missing:
            if node in self._lines:
                return f"it says --node-rank {node}, but node {node} is here already ({self.host(node)})"
            return f"it says --node-rank {node}; the nodes are 0 to {self.num_nodes - 1}"
        theirs = message.get("trials") or {}
        labels = sorted({*theirs, *self._trials})
        differing = [label for label in labels if theirs.get(label) != self._trials.get(label)]
        if differing:
            named = ", ".join(differing[:MAX_REFUSED]) + (", ..." if len(differing) > MAX_REFUSED else "")
            return (
                f"its plan differs in {named}: options, experiments, code, data or library versions are not the same "
                "(papergen run-exp --dry-run prints the digests on each host)"
            )
        return ""

    def _drop(self, line: NodeLine) -> None:
        if self._lines.get(line.node) is line:
            del self._lines[line.node]
        self._strangers.discard(line)
        if self._selector is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(line.socket)
        line.socket.close()


def versions_here() -> dict[str, str]:
    """papergen, whose machines talk to each other; torch, whose process group spans them; and Python."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    return {"papergen": __version__, "torch": torch, "Python": ".".join(platform.python_version_tuple()[:2])}


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """What another machine has and this one has not, in words; "" when all is the same.

    Builds of one version (2.13.0+cpu, 2.13.0+cu130) are the same: a run may span them.
    """
    differing = [name for name, version in ours.items() if _public(theirs.get(name, "?")) != _public(version)]
    there = ", ".join(f"{name} {theirs.get(name, 'of an earlier papergen')}" for name in differing)
    here = ", ".join(f"{name} {ours[name]}" for name in differing)
    return f"it has {there}; node 0 has {here}" if differing else ""


def _public(version: str) -> str:
    return version.partition("+")[0]
