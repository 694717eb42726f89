"""Addresses, interfaces and ports: what must be right before several machines can meet, and what to type if not."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from papergen.core.errors import MachineError, PapergenError, did_you_mean

IFNAMES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Variables that tell the communication libraries which interface to use."""


@dataclass(frozen=True)
class Endpoint:
    """Where the machines of a run meet: `--rdzv-endpoint HOST:PORT`."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`10.0.0.1:29500`, `node1:29500` or `[fd00::1]:29500`."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise PapergenError(
                f"--rdzv-endpoint {text}: write HOST:PORT, an address of node 0 and a free port there, "
                "for example 10.0.0.1:29500."
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        """As it is typed."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def own_addresses() -> dict[str, str]:
    """Address -> interface, of this machine."""
    import psutil

    return {
        address.address.partition("%")[0]: name
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family in {socket.AF_INET, socket.AF_INET6}
    }


def interface_of(address: str) -> str | None:
    """The interface that has this address; None when it is not ours."""
    return own_addresses().get(address)


def reachable() -> str:
    """The addresses under which other machines may reach this one, for a message."""
    shown = [f"{ip} ({name})" for ip, name in own_addresses().items() if not _is_local(ip)]
    return ", ".join(shown) or "none but loopback"


def addresses_of(host: str) -> list[str]:
    """What a host name resolves to here; MachineError when nothing knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MachineError(
            f"--rdzv-endpoint: {host} is not a name that this host ({socket.gethostname()}) can resolve ({error}).",
            hint="Type the numeric address of node 0 instead, on every host.",
        ) from error
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def check_endpoint(endpoint: Endpoint) -> tuple[str, bool]:
    """The numeric address of the endpoint and whether it is this machine's.

    MachineError when its name resolves to loopback, where no other machine can reach it. An address of loopback that
    was typed as such is taken: several "machines" on one, for a trial run.
    """
    addresses = addresses_of(endpoint.host)
    outer = [ip for ip in addresses if not ipaddress.ip_address(ip.partition("%")[0]).is_loopback]
    if not outer and endpoint.host != "localhost" and not _is_number(endpoint.host):
        raise MachineError(
            f"--rdzv-endpoint {endpoint}: on this host ({socket.gethostname()}) the name {endpoint.host} resolves to "
            f"{addresses[0]}, loopback, which no other host can reach.\nAddresses of this host: {reachable()}.",
            hint=f"Type node 0's address instead of its name, on every host: --rdzv-endpoint ADDRESS:{endpoint.port}",
        )
    chosen = (outer or addresses)[0]
    return chosen, interface_of(chosen) is not None


def check_interfaces() -> None:
    """MachineError when GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME names an interface that this machine lacks."""
    known = sorted(set(own_addresses().values()) | set(_links()))
    for variable in IFNAMES:
        for word in filter(None, os.environ.get(variable, "").split(",")):
            if word.startswith(("^", "=")) or (variable.startswith("NCCL") and any(i.startswith(word) for i in known)):
                continue  # NCCL takes prefixes and exclusions
            if word not in known:
                raise MachineError(
                    f"{variable}={os.environ[variable]}: this host ({socket.gethostname()}) has no interface {word}. "
                    f"{did_you_mean(word, known)}\nInterfaces here: {', '.join(known)}.",
                    hint=f"Type `unset {variable}`: papergen takes the interface of the route to node 0.",
                )


def interface_environment(address: str) -> dict[str, str]:
    """The variables that make gloo and NCCL use the interface of `address`; what the user has set stands."""
    name = interface_of(address)
    return {} if name is None else {variable: os.environ.get(variable) or name for variable in IFNAMES}


def listen(endpoint: Endpoint, address: str) -> socket.socket:
    """A socket that listens at the endpoint; MachineError when the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, endpoint.port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            other = Endpoint(endpoint.host, endpoint.port + 1 if endpoint.port < 65535 else 29500)
            raise MachineError(
                f"--rdzv-endpoint {endpoint}: port {endpoint.port} is taken on this host by another program"
                f"{_holder(endpoint.port)}.",
                hint=f"Type another port, on every host: --rdzv-endpoint {other}",
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise MachineError(
                f"--rdzv-endpoint {endpoint}: no interface of this host ({socket.gethostname()}) has the address "
                f"{address}.\nAddresses of this host: {reachable()}.",
                hint="Node 0 must have it: type --node-rank 1 here if this is not node 0, else one of these addresses.",
            ) from error
        raise MachineError(f"--rdzv-endpoint {endpoint}: {error.strerror}.") from error
    return listener


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel notice within about 13 s that the other machine is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (("TCP_KEEPIDLE", 4), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 13_000)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_local(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return address.is_loopback or address.is_link_local


def _links() -> Sequence[str]:
    with contextlib.suppress(OSError):
        return [name for _, name in socket.if_nameindex()]
    return []


def _holder(port: int) -> str:
    """` (pid 12, python3)` where the kernel tells us."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for item in psutil.net_connections("tcp"):
            if item.status == psutil.CONN_LISTEN and item.laddr and item.laddr.port == port and item.pid:
                return f" (pid {item.pid}, {psutil.Process(item.pid).name()})"
    return ""
