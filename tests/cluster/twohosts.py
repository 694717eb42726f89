"""Two hosts on one machine: network namespaces joined by a cable, each knowing only its own interfaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

A, B = "10.77.5.1", "10.77.5.2"

KIND = """
import os, signal, socket, time
from pydantic import Field
from papergen import Metric, Params as Base

class Params(Base):
    world_size: int = Field(default=2, description="Ranks.")
    fault: str = Field(default="", description="What rank 1 does.")

METRICS = (Metric(name="total", label="Total"),)

def num_ranks(params):
    return params.world_size

def run(params, ctx):
    import torch, torch.distributed as dist
    if ctx.world_size > 1:
        dist.init_process_group("gloo")
    total = torch.tensor([ctx.rank + 1.0])
    if ctx.world_size > 1:
        dist.all_reduce(total)
    (ctx.project / f"seen{ctx.rank}").touch()
    if ctx.rank == ctx.world_size - 1:
        if params.fault == "raise":
            raise ValueError("a fault on the other host")
        if params.fault in {"hang", "stop"}:
            (ctx.project / f"{params.fault}-began").touch()
        if params.fault == "hang":
            time.sleep(1000)
        if params.fault == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if params.fault == "eat":
            held = bytearray(1 << 30)
        if params.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    if params.fault == "go":
        (ctx.project / "ran").mkdir(exist_ok=True)
        if ctx.rank == 0:
            (ctx.project / "ran" / f"{ctx.trial.row}-{os.getpid()}").touch()
        while not (ctx.project / "go").exists():
            time.sleep(0.1)
    elif params.fault == "hang":
        dist.all_reduce(total)
    elif params.fault:
        time.sleep(1000)
    ctx.fact("interface", os.environ.get("GLOO_SOCKET_IFNAME"))
    return {"total": float(total)}
"""


def why_not() -> str:
    """Why there can be no two hosts here; "" when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    done = subprocess.run(["ip", "netns", "add", "papergen-probe"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"no network namespaces here: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", "papergen-probe"], check=True)
    return ""


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[str, str]]:
    """The names of two namespaces; veth-a has address A in the first, veth-b has B in the second."""
    a, b = (f"papergen-{os.getpid()}-{side}" for side in "ab")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for name in (a, b):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "veth-a", "netns", a, "type", "veth", "peer", "name", "veth-b", "netns", b)
        for name, link, address in ((a, "veth-a", A), (b, "veth-b", B)):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
        yield a, b
    finally:
        for name in (a, b):
            subprocess.run(["ip", "netns", "del", name], check=False)


def make_project(folder: Path, rows: str = "{both: {}}") -> Path:
    """A paper project with one experiment of the kind above."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: Two hosts\nauthors: [{name: A}]\n")
    (folder / "experiments" / "meet.py").write_text(KIND)
    (folder / "experiments" / "meeting.yaml").write_text(f"kind: meet\nrows: {rows}\n")
    return folder


def run_exp(
    host: str | None,
    project: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    name: str = "",
    clock_ahead_s: int = 0,
) -> subprocess.Popen[str]:
    """`papergen run-exp OPTIONS` typed on a host, in a project.

    `name` is the host's own; its monotonic clock (the time since it was booted) may be ahead of ours.
    """
    inside = ["ip", "netns", "exec", host] if host else []
    if clock_ahead_s:
        inside += ["unshare", "--time", "--fork", "--kill-child", f"--monotonic={clock_ahead_s}"]
    if name:
        inside += ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
    return subprocess.Popen(
        [*inside, sys.executable, "-m", "papergen", "run-exp", *options],
        cwd=project,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
