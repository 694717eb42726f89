"""Where the ranks of a trial meet: a free TCP port, and the variables of torch's env:// rendezvous."""

from __future__ import annotations

import errno
import os
import socket

FIRST, LAST = 20_000, 32_000
"""Below the ports that the kernel gives to outgoing connections, which could take one between our look and its use."""


class Ports:
    """RankControl out ports that were free a moment ago, a different one each time."""

    def __init__(self) -> None:
        # Several papergens on one machine begin to look at different places, and seldom take each other's port.
        self._next = FIRST + os.getpid() * 37 % (LAST - FIRST)

    def free(self, host: str = "127.0.0.1") -> int:
        """A port that nothing listens on at `host`.

        Nothing holds it until rank 0 listens there: who is quicker has it, and the trial is started with another one.
        """
        for _ in range(LAST - FIRST):
            port = self._next
            self._next = port + 1 if port + 1 < LAST else FIRST
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                try:
                    probe.bind((host, port))
                except OSError as error:
                    if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                        raise
                    continue
                return port
        raise AssertionError(f"every port from {FIRST} to {LAST} is taken")


def local_rendezvous(port: int) -> dict[str, str]:
    """The variables by which ranks on one machine meet."""
    names = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **names}
