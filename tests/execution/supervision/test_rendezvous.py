"""Ports for the rendezvous of ranks."""

from __future__ import annotations

import socket

from papergen.execution.supervision.rendezvous import Ports


def test_ports_are_free_and_differ() -> None:
    ports, same = Ports(), Ports()
    first = ports.free()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        assert same.free() != first
    assert ports.free() != first
