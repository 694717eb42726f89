"""Ends the sessions of a launcher that was killed: what torch's own launchers start would outlive it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Read session numbers, one a line ("-N" forgets N), until the launcher is gone; then kill what is left of them."""
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, signal.SIG_IGN)  # it ends with its launcher, never before
    held: set[int] = set()
    for line in sys.stdin:
        number = int(line)
        if number > 0:
            held.add(number)
        else:
            held.discard(-number)
    for session in held:
        kill_session(session)
    os._exit(0)


def kill_session(session: int) -> None:
    """Send SIGKILL to every process of a session, its ranks' own children among them, until none is left."""
    for _ in range(20):  # a process may start another while we look
        members = session_members(session)
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if not members:
            return


def session_members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()
        if fields[0] not in "ZX" and int(fields[3]) == session:
            found.append(int(folder.name))
    return found
