"""Where the ranks of all trials report: one Unix socket in a private folder, JSON lines, read without blocking."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from papergen.core.scratch import scratch_folder

MAX_ADDRESS = 100
"""Bytes that the path of a Unix socket may have; the kernel takes 107."""

Message = dict[str, Any]


class Line:
    """The launcher's end of a connection that carries JSON lines."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self.job = ""
        self.rank = -1
        self._buffer = b""

    def read(self) -> tuple[list[Message], bool]:
        """The messages that have arrived, and whether the other end is gone."""
        chunks = [self._buffer]
        is_gone = False
        with contextlib.suppress(BlockingIOError):
            while chunk := self._receive():
                chunks.append(chunk)
            is_gone = True
        *lines, self._buffer = b"".join(chunks).split(b"\n")
        return [json.loads(line) for line in lines], is_gone

    def send(self, data: bytes) -> None:
        """Send a little, which the kernel's buffer takes at once; a connection that is gone is noticed when read."""
        with contextlib.suppress(OSError):
            self.socket.send(data)

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except BlockingIOError:
            raise
        except OSError:  # reset by the peer, or timed out by the kernel
            return b""


class RankServer:
    """Accepts the ranks and hands on what they say. `folder` is private to this launcher and goes with `close`."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._scratch = contextlib.ExitStack()
        # The socket's whole path must fit into the kernel's 107 bytes; batch systems set TMPDIR to long paths.
        is_short = len(tempfile.gettempdir().encode()) < 60
        self.folder = self._scratch.enter_context(scratch_folder("hub", None if is_short else Path("/tmp")))
        self.address = str(self.folder / "ranks.sock")
        assert len(self.address.encode()) <= MAX_ADDRESS, f"{self.address} is too long for a Unix socket"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.address)
        self._listener.listen(256)  # the ranks of a large trial connect all at once
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self)
        self._lines: set[Line] = set()

    def accept(self) -> None:
        """Take in the ranks that are waiting to be heard."""
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = self._listener.accept()
                line = Line(connection)
                self._lines.add(line)
                self._selector.register(connection, selectors.EVENT_READ, line)

    def drop(self, line: Line) -> None:
        """Forget a connection."""
        if line in self._lines:
            self._lines.remove(line)
            self._selector.unregister(line.socket)
            line.socket.close()

    def of(self, job: str) -> Sequence[Line]:
        """The connections of one trial's ranks."""
        return [line for line in self._lines if line.job == job]

    def close(self) -> None:
        """Close everything and remove the folder."""
        for line in list(self._lines):
            self.drop(line)
        self._selector.unregister(self._listener)
        self._listener.close()
        self._scratch.close()
