"""`papergen run-exp --launcher torchrun --nnodes 2` on two hosts that share a cable and, in some tests, a folder."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from lab import wait_until_gone
from twohosts import A, B, make_project, run_exp

PORT = 29_517
JOIN = ["--launcher", "torchrun", "--nnodes", "2", "--device", "cpu", "--rdzv-endpoint", f"{A}:{PORT}"]

Hosts = tuple[str, str]


def said(process: subprocess.Popen[str], limit_s: float = 180.0) -> str:
    try:
        return process.communicate(timeout=limit_s)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def record(project: Path, row: str) -> dict[str, dict[str, object]]:
    (path,) = project.glob(f"results/meeting/{row}-*/result.json")
    return json.loads(path.read_text(encoding="utf-8"))


def wait_for(path: Path, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.05)


def test_the_same_command_on_both_hosts_of_one_folder(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "论文 with space", "{both: {}, four: {world_size: 4}, alone: {world_size: 1}}")
    second = run_exp(hosts[1], project, *JOIN)  # the order in which they are started does not matter
    first = run_exp(hosts[0], project, *JOIN)
    told, other = said(first), said(second)
    assert first.returncode == 0, told
    assert second.returncode == 0, other
    assert "node 1 of 2, following node 0" in other
    assert [record(project, row)["outcome"]["metrics"]["total"] for row in ("both", "four", "alone")] == [
        3.0,
        10.0,
        1.0,
    ]
    assert record(project, "both")["outcome"]["facts"] == {"interface": "veth-a"}
    assert record(project, "both")["provenance"]["backend"] == "gloo"


def test_a_folder_on_each_host_and_faults_on_the_far_one(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    rows = "{bad: {fault: raise}, dead: {fault: kill}, odd: {world_size: 3}, good: {}}"
    near, far = make_project(tmp_path / "near", rows), make_project(tmp_path / "far", rows)
    first, second = run_exp(hosts[0], near, *JOIN), run_exp(hosts[1], far, *JOIN)
    told, other = said(first), said(second)
    assert first.returncode == 1, told
    assert second.returncode == 0, other
    assert "FAILED  meeting/bad seed 0: rank 1: ValueError: a fault on the other host" in told
    assert f'File "{far}/experiments/meet.py"' in told, "the traceback of the far rank is shown"
    assert "FAILED  meeting/dead seed 0: rank 1: killed by SIGKILL" in told
    assert "the trial has 3 ranks, which 2 nodes cannot share evenly" in told
    assert record(near, "good")["outcome"]["metrics"] == {"total": 3.0}, "the other trials go on"
    assert not list(far.glob("results/meeting/*")), "only node 0 publishes"


@pytest.mark.parametrize("killed", [0, 1], ids=["node 0", "node 1"])
def test_when_one_host_s_papergen_is_killed_nothing_is_left_on_either(
    hosts: Hosts, tmp_path: Path, mark: str, killed: int
) -> None:
    project = make_project(tmp_path / "both", "{wait: {fault: wait}}")
    runs = [run_exp(host, project, *JOIN) for host in hosts]
    for rank in range(2):
        wait_for(project / f"seen{rank}")
    os.killpg(runs[killed].pid, signal.SIGKILL)
    told = said(runs[1 - killed], 15)
    said(runs[killed], 5)
    assert not wait_until_gone(mark, 5.0)
    if killed == 1:
        assert "(node 1) is gone: the connection to it was lost" in told
        assert runs[0].returncode == 1
    else:
        assert "the connection to node 0" in told
        assert runs[1].returncode == 3


@pytest.mark.parametrize("lost", [0, 1], ids=["node 0", "node 1"])
def test_when_a_cable_is_pulled_both_hosts_end_by_the_other_s_name(
    hosts: Hosts, tmp_path: Path, mark: str, lost: int
) -> None:
    """No process dies and no packet says so, as when a host loses its power."""
    project = make_project(tmp_path / "both", "{wait: {fault: wait}}")
    runs = [run_exp(host, project, *JOIN, name=name) for host, name in zip(hosts, ("near", "far"), strict=True)]
    for rank in range(2):
        wait_for(project / f"seen{rank}")
    cable = ["ip", "-n", hosts[lost], "link", "set", f"veth-{'ab'[lost]}"]
    began = time.monotonic()
    subprocess.run([*cable, "down"], check=True)
    try:
        told = [said(run, 30) for run in runs]
    finally:
        subprocess.run([*cable, "up"], check=True)
    took_s = time.monotonic() - began
    assert "FAILED  meeting/wait seed 0: rank 1: far (node 1) " in told[0], told
    assert f"the connection to node 0 ({A}:{PORT}) was lost" in told[1], told
    assert [run.returncode for run in runs] == [1, 3]
    assert took_s < 17, "13 s to notice, the rest for two commands to end"
    assert not wait_until_gone(mark, 5.0)


def test_ranks_of_the_far_host_that_hang_or_stop_are_named_in_time(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "both", "{hang: {fault: hang}, stop: {fault: stop}}")
    runs = [run_exp(host, project, *JOIN) for host in hosts]
    told = said(runs[0], 150)
    said(runs[1])
    assert "FAILED  meeting/hang seed 0: rank 1: hangs in run (" in told, told
    assert "FAILED  meeting/stop seed 0: rank 1: the process is stopped (SIGSTOP)" in told
    ended = {row: kept.stat().st_mtime for row in ("hang", "stop") for kept in failures(project, row)}
    began = {row: (project / f"{row}-began").stat().st_mtime for row in ended}
    assert ended["hang"] - began["hang"] < 15
    assert ended["stop"] - began["stop"] < 45


def failures(project: Path, row: str) -> list[Path]:
    return list(project.glob(f"results/.failed/meeting/{row}-*/failure.json"))


def test_ctrl_c_on_node_0_ends_both(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "both", "{wait: {fault: wait}}")
    runs = [run_exp(host, project, *JOIN) for host in hosts]
    for rank in range(2):
        wait_for(project / f"seen{rank}")
    began = time.monotonic()
    os.kill(_papergen_of(runs[0]), signal.SIGINT)
    told = [said(run, 10) for run in runs]
    assert time.monotonic() - began < 5
    assert runs[0].returncode == 130, told[0]
    assert not wait_until_gone(mark, 2.0)


def _papergen_of(run: subprocess.Popen[str]) -> int:
    """`ip netns exec` becomes what it starts."""
    assert b"papergen" in Path(f"/proc/{run.pid}/cmdline").read_bytes()
    return run.pid


def test_a_plan_that_differs_is_refused_by_name(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    near, far = make_project(tmp_path / "near"), make_project(tmp_path / "far", "{both: {world_size: 4}}")
    first = run_exp(hosts[0], near, *JOIN, "--join-timeout", "8")
    second = run_exp(hosts[1], far, *JOIN)
    told, other = said(first), said(second)
    assert second.returncode == 3
    assert "its plan differs in meeting/both seed 0" in other
    assert "was refused: its plan differs" in told
    assert "node 1 of 2 has not joined within 8 s.\nType the same command there" in told


def test_other_code_or_data_on_a_host_is_refused_by_the_trial_s_name(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    near, far = make_project(tmp_path / "near"), make_project(tmp_path / "far")
    code = far / "experiments" / "meet.py"
    code.write_text(code.read_text().replace("ctx.rank + 1.0", "ctx.rank + 2.0"))
    first = run_exp(hosts[0], near, *JOIN, "--join-timeout", "8")
    other = said(run_exp(hosts[1], far, *JOIN, name="far"))
    assert "its plan differs in meeting/both seed 0: options, experiments, code, data or library versions" in other
    assert "far was refused: its plan differs in meeting/both seed 0" in said(first)


def test_other_versions_on_a_host_are_named(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "paper")
    record = tmp_path / "site" / "torch-9.9.9.dist-info" / "METADATA"
    record.parent.mkdir(parents=True)
    record.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9.9\n")
    first = run_exp(hosts[0], project, *JOIN, "--join-timeout", "8")
    second = run_exp(hosts[1], project, *JOIN, name="far", environment={"PYTHONPATH": str(record.parent.parent)})
    told, other = said(first), said(second)
    ours = importlib.metadata.version("torch")
    assert f"does not let this host in: it has torch 9.9.9; node 0 has torch {ours}. Install the same" in other
    assert f"far was refused: it has torch 9.9.9; node 0 has torch {ours}" in told
    assert second.returncode == 3


def test_clocks_that_differ_by_days_do_not_matter(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    """The wall clock by a day, the time since boot by a year, as on two machines."""
    project = make_project(tmp_path / "paper", "{both: {}, bad: {fault: raise}}")
    site = tmp_path / "site" / "sitecustomize.py"
    site.parent.mkdir()
    site.write_text("import time\nnow = time.time\ntime.time = lambda: now() + 86400\n")
    first = run_exp(hosts[0], project, *JOIN)
    second = run_exp(hosts[1], project, *JOIN, environment={"PYTHONPATH": str(site.parent)}, clock_ahead_s=365 * 86400)
    told, other = said(first), said(second)
    assert second.returncode == 0, other
    assert record(project, "both")["outcome"]["metrics"] == {"total": 3.0}, told
    assert "FAILED  meeting/bad seed 0: rank 1: ValueError: a fault on the other host" in told


def test_a_host_s_memory_counts_by_itself_and_is_named(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "paper", "{fat: {fault: eat, world_size: 4}}")
    limit = ["--memory-limit", "1.1"]
    runs = [run_exp(host, project, *JOIN, *limit, name=name) for host, name in zip(hosts, ("near", "far"), strict=True)]
    told, _ = [said(run) for run in runs]
    assert re.search(
        r"FAILED  meeting/fat seed 0: rank 3: used [\d.]+ GiB of memory on far, more than its memory limit of 1.1 GiB; "
        r"rank 3 holds the most, \d\.\d\d GiB",
        told,
    ), told


def test_a_host_that_is_not_there_is_waited_for_in_vain(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "alone")
    told = said(run_exp(hosts[1], project, *JOIN, "--join-timeout", "3"))
    assert f"waiting for node 0 at {A}:{PORT} (" in told
    assert f"node 0 was not reached at {A}:{PORT} within 3 s" in told


def test_a_taken_port_is_named_with_another_to_type(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "alone")
    code = f"import socket, time; s = socket.create_server(('{A}', {PORT})); print('up', flush=True); time.sleep(60)"
    taker = subprocess.Popen(
        ["ip", "netns", "exec", hosts[0], "python3", "-c", code], stdout=subprocess.PIPE, text=True
    )
    try:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "up\n"
        told = said(run_exp(hosts[0], project, *JOIN))
    finally:
        taker.kill()
        taker.communicate()
    assert f"port {PORT} is taken on this host by another program" in told
    assert f"--rdzv-endpoint {A}:{PORT + 1}" in told


def test_a_host_name_that_resolves_to_loopback_is_named(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    if not all(ip.startswith("127.") for ip in {item[4][0] for item in socket.getaddrinfo(socket.gethostname(), 1)}):
        pytest.skip("this machine's name does not resolve to loopback")
    project = make_project(tmp_path / "alone")
    told = said(run_exp(hosts[0], project, *JOIN[:-1], f"{socket.gethostname()}:{PORT}"))
    assert "loopback, which no other host can reach" in told
    assert f"{A} (veth-a)" in told
    assert f"--rdzv-endpoint ADDRESS:{PORT}" in told


def test_a_missing_interface_is_named_with_those_there_are(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "alone")
    told = said(run_exp(hosts[0], project, *JOIN, environment={"GLOO_SOCKET_IFNAME": "veth-x"}))
    assert "GLOO_SOCKET_IFNAME=veth-x" in told
    assert "has no interface veth-x" in told
    assert "Interfaces here: lo, veth-a" in told
    assert "unset GLOO_SOCKET_IFNAME" in told


def test_an_address_of_another_host_is_named(hosts: Hosts, tmp_path: Path, mark: str) -> None:
    project = make_project(tmp_path / "alone")
    told = said(run_exp(hosts[0], project, *JOIN[:-1], f"{B}:{PORT}", "--node-rank", "0"))
    assert f"no interface of this host ({socket.gethostname()}) has the address {B}" in told
    assert "type --node-rank 1 here if this is not node 0" in told
