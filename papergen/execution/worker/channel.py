"""A rank's line to its launcher: JSON lines over a Unix socket, signs of life, and the word to finish."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from typing import Any

from papergen.execution.worker.spec import BEAT_S

EVENTS_PER_S = 10.0
"""Progress and log events of one rank are thinned out to this rate; the last one always arrives."""


class Channel:
    """One rank's connection. Without an address nothing is sent and `wait_to_finish` returns False.

    A launcher that is gone is not the rank's fault: sending to it does nothing (the kernel ends the rank soon).
    """

    def __init__(self, address: str, job: str, rank: int, *, restart: int = 0) -> None:
        """`restart` is how often the trial's ranks were started again; such a rank waits here for the word to begin.

        The word sets the variables by which these ranks meet: torch's agent has them meet in a store that still knows
        the addresses of the ranks before (seen with gloo in torch 2.13: connection refused).
        """
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._waiting: dict[str, dict[str, Any]] = {}
        self._sent_at: dict[str, float] = {}
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(address)
            self.send("hello", job=job, rank=rank, pid=os.getpid(), restart=restart)
            if restart:
                with self._socket.makefile("rb", buffering=0) as stream:
                    os.environ.update(json.loads(stream.readline() or b"{}"))
            threading.Thread(target=self._beat, name="papergen-beat", daemon=True).start()

    def send(self, event: str, **data: Any) -> None:
        """Send an event that must arrive; waits for room."""
        self._write({"event": event, **data}, may_drop=False)

    def tell(self, event: str, **data: Any) -> None:
        """Send an event of which only the latest matters: thinned out, and dropped while the launcher does not read."""
        now = time.monotonic()
        with self._lock:
            is_early = now - self._sent_at.get(event, 0.0) < 1 / EVENTS_PER_S
            if is_early:
                self._waiting[event] = {"event": event, **data}
            else:
                self._waiting.pop(event, None)
                self._sent_at[event] = now
        if not is_early:
            self._write({"event": event, **data}, may_drop=True)

    def wait_to_finish(self) -> bool:
        """Report that this rank has returned and wait until all of them have; False when nobody listens."""
        if self._socket is None:
            return False
        self._flush()
        self.send("returned")
        with contextlib.suppress(OSError):
            self._socket.recv(1)  # one byte, or the end of a launcher that is gone
        return True

    def _flush(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for message in waiting.values():
            self._write(message, may_drop=True)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            self._flush()
            self._write({"event": "beat", "place": _place()}, may_drop=True)

    def _write(self, message: dict[str, Any], *, may_drop: bool) -> None:
        if self._socket is None:
            return
        line = json.dumps(message).encode() + b"\n"
        # MSG_DONTWAIT, not a socket that never blocks: messages that must arrive use the same socket. No room at all is
        # a BlockingIOError, and the message is dropped.
        with self._lock, contextlib.suppress(OSError):
            sent = self._socket.send(line, socket.MSG_DONTWAIT if may_drop else 0)
            self._socket.sendall(line[sent:])  # half a line would spoil the next one: this may wait


def _place() -> str:
    """A short word for where the main thread is: the calls that led there, and the function, not the line, in it."""
    # A private function that CPython documents: the only way to see another thread's calls without stopping it.
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    calls: list[tuple[str, int]] = []
    while frame is not None:
        # The innermost line is left out: a loop that waits for ever passes over a few lines of one function.
        calls.append((f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}", frame.f_lineno if calls else 0))
        frame = frame.f_back
    return f"{hash(tuple(calls)) & 0xFFFF_FFFF:x}" if calls else ""
