"""What the machine has, the ports and slots handed out, and the record of where a trial ran."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Lab, finish, quick

from papergen.core.errors import MachineError
from papergen.execution import devices as detect
from papergen.execution.devices import choose_device, cpu_model, find_gpus, memory_gib, num_cores, torch_cuda
from papergen.execution.launcher import Ended, Event
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.provenance import (
    GitState,
    _git_state,
    git_state,
    provenance_of,
    redacted_command,
    relevant_environment,
)
from papergen.execution.slots import GpuLocks, Slots
from papergen.execution.supervision.rendezvous import Ports

TWO_GPUS = """#!/bin/sh
echo "GPU-1111-aaaa, NVIDIA H200, 143771"
echo "GPU-2222-bbbb, NVIDIA H200, [N/A]"
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a script in the place of nvidia-smi, under a torch that has CUDA."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(detect, "torch_cuda", lambda: "13.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    detect._look_for_gpus.cache_clear()

    def put(text: str) -> None:
        (tmp_path / "nvidia-smi").write_text(text)
        (tmp_path / "nvidia-smi").chmod(0o755)

    yield put
    detect._look_for_gpus.cache_clear()


def test_gpus_are_called_by_what_no_ordering_changes(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi(TWO_GPUS)
    assert [(gpu.name_for_cuda, gpu.name) for gpu in find_gpus()] == [
        ("GPU-1111-aaaa", "NVIDIA H200"),
        ("GPU-2222-bbbb", "NVIDIA H200"),
    ]
    assert choose_device("auto") == ("cuda", "2 CUDA GPUs (NVIDIA H200)")
    assert choose_device("cpu") == ("cpu", "asked for")


@pytest.mark.parametrize(
    ("visible", "names"), [("1", ["1"]), ("GPU-2222", ["GPU-2222"]), ("1,0", ["1", "0"]), ("", []), ("-1", [])]
)
def test_the_user_s_own_choice_of_gpus(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]
) -> None:
    nvidia_smi(TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name_for_cuda for gpu in find_gpus()] == names


def test_a_driver_that_does_not_answer(nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "QUERY_LIMIT_S", 0.2)
    nvidia_smi("#!/bin/sh\nexec sleep 100\n")
    device, reason = choose_device("auto")
    assert device == "cpu"
    assert "nvidia-smi did not answer" in reason


def test_cuda_asked_for_where_there_is_none(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi("#!/bin/sh\necho 'NVIDIA-SMI has failed because of the driver'\nexit 9\n")
    with pytest.raises(MachineError, match=r"no CUDA GPU can be used: nvidia-smi failed: .*driver") as caught:
        choose_device("cuda")
    assert caught.value.exit_code == 3


def test_no_nvidia_smi(nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert choose_device("auto") == ("cpu", "no CUDA GPU (nvidia-smi is absent)")


def test_a_torch_without_cuda(nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(TWO_GPUS)
    monkeypatch.setattr(detect, "torch_cuda", lambda: None)
    assert choose_device("auto") == ("cpu", "no CUDA GPU (this build of torch has no CUDA)")


def test_torch_s_build_is_known_without_importing_it() -> None:
    import torch

    assert torch_cuda() == torch.version.cuda


def test_cores_and_memory_are_what_may_be_used() -> None:
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
    assert 0 < memory_gib() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert cpu_model()


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("", None)])
def test_quota_of_a_control_group(text: str, quota: float | None) -> None:
    assert detect._quota(text) == quota


def test_affinity_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert num_cores() == 1


def test_ports_are_free_and_differ() -> None:
    ports, same = Ports(), Ports()
    first = ports.free()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        assert same.free() != first
    assert ports.free() != first


def slots_of(folder: Path, *gpus: str) -> Slots:
    return Slots(quick(jobs=4, device="cuda"), gpus=gpus, locks=GpuLocks(folder=folder))


def started(slots: Slots) -> tuple[str, tuple[str, ...]] | None:
    job = slots.next()
    return None if job is None else slots.take(job)


def test_slots_give_gpus_back_in_order(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b", "c")
    slots.add(lab.job("pass", num_ranks=2))
    assert started(slots) == ("job1", ("a", "b"))
    slots.add(lab.job("pass", num_ranks=3))
    assert started(slots) is None
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b", "c"))


def test_a_trial_that_waits_is_not_overtaken(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b")
    for num_ranks in (1, 2, 1):
        slots.add(lab.job("pass", num_ranks=num_ranks))
    assert started(slots) == ("job1", ("a",))
    assert started(slots) is None, "a GPU is free, but the trial before needs two"
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b"))


def test_one_process_may_have_every_gpu(lab: Lab, tmp_path: Path) -> None:
    slots = slots_of(tmp_path, "a", "b", "c")
    for _ in range(2):
        slots.add(lab.job("pass", takes_all_gpus=True))
    assert started(slots) == ("job1", ("a", "b", "c"))
    assert started(slots) is None
    slots.give_back("job1")
    assert started(slots) == ("job2", ("a", "b", "c"))


def ended_of(lab: Lab, **machine: object) -> Ended:
    return Ended(
        job=lab.job("pass"), failure=None, machine=machine, started="2026-01-01T00:00:00Z", ended="", duration_s=1.0
    )


def test_provenance_outside_a_repository(lab: Lab) -> None:
    ended = ended_of(lab, device="cpu", backend="gloo", num_threads=2, load_average=0.5)
    record = provenance_of(ended, command=["papergen", "run-exp"], launcher="local")
    assert (record.git_commit, record.git_is_dirty) == ("", False)
    assert (record.device, record.backend, record.num_threads, record.load_average) == ("cpu", "gloo", 2, 0.5)
    assert record.packages["torch"].startswith("2.")
    assert record.num_cores >= 1


def test_results_do_not_make_a_repository_dirty(lab: Lab) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=lab.project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    for name in ("paper.yaml", "results/a.json"):
        path = lab.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    git("init", "--quiet")
    assert git_state(lab.project) == GitState(), "no commit yet"
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "HEAD")
    (lab.project / "results/a.json").write_text("2")
    _git_state.cache_clear()
    assert git_state(lab.project) == GitState(commit=commit)
    (lab.project / "paper.yaml").write_text("2")
    _git_state.cache_clear()
    state = git_state(lab.project)
    assert (state.commit, state.is_dirty) == (commit, True)
    assert b"\n+" in state.diff


def test_a_gpu_that_another_process_uses_is_not_handed_out(lab: Lab, tmp_path: Path) -> None:
    other = GpuLocks({"0": "GPU-a"}, tmp_path)
    slots = slots_of(tmp_path, "GPU-a", "GPU-b")
    assert other.claim("0"), "another name for the same GPU"
    large = lab.job("pass", num_ranks=2)
    slots.add(large)
    assert slots.next() is None
    assert slots.is_waiting_for_others
    assert slots.remove(large)
    for _ in range(2):
        slots.add(lab.job("pass"))
    assert started(slots) == ("job1", ("GPU-b",)), "none was kept for the trial that could not start"
    assert started(slots) is None
    other.release("0")
    assert started(slots) == ("job2", ("GPU-a",))
    assert not other.claim("0")
    slots.give_back("job2")
    assert other.claim("0")


def test_a_killed_process_keeps_no_gpu(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from papergen.execution.slots import GpuLocks
locks = GpuLocks(folder=Path({str(tmp_path)!r}))
print(locks.claim("GPU-a"), flush=True)
time.sleep(100)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not GpuLocks(folder=tmp_path).claim("GPU-a")
    finally:
        holder.kill()
        holder.communicate()
    assert GpuLocks(folder=tmp_path).claim("GPU-a")


def test_a_number_names_the_gpu_that_nvidia_smi_lists_there_when_all_are_alike(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-1111")
    assert [(gpu.name_for_cuda, gpu.identity) for gpu in find_gpus()] == [
        ("1", "GPU-2222-bbbb"),
        ("GPU-1111", "GPU-1111-aaaa"),
    ]


def test_a_trial_waits_for_the_gpu_of_another_papergen(
    lab: Lab, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("papergen.execution.slots.FOLDER", tmp_path)
    other = GpuLocks()
    assert other.claim("GPU-a")
    with LocalLauncher(quick(device="cuda"), gpus=["GPU-a"]) as launcher:
        launcher.submit(lab.job('ctx.fact("gpu", os.environ["CUDA_VISIBLE_DEVICES"])\nreturn {"score": 1.0}'))
        (told,) = launcher.wait(timeout_s=5.0)
        assert isinstance(told, Event)
        assert told.data["text"] == "lab/row1 seed 0 waits for a GPU that another papergen on this machine uses"
        assert not launcher.wait(timeout_s=0.5)
        other.close()
        _, ended = finish(launcher)
    assert ended[0].failure is None
    assert other.claim("GPU-a"), "it was given back"
    other.close()


def test_secrets_do_not_reach_the_record() -> None:
    environment = {
        "HF_TOKEN": "hf_abcdefghijklmnop",
        "HF_HOME": "https://me:pass@host/cache",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "2",
        "CUDA_NOTE": "sk-abcdefghijklmnopqr",
        "MY_DIARY": "private",
    }
    assert relevant_environment(environment) == {
        "CUDA_NOTE": "<redacted>",
        "HF_HOME": "https://<redacted>@host/cache",
        "HF_TOKEN": "<redacted>",
        "OMP_NUM_THREADS": "2",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = ["papergen", "run-exp", "-o", "x.api_key=12345", "-o", "x.lr=1e-3", "ghp_abcdefghijklmnop"]
    assert redacted_command(command) == [*command[:3], "x.api_key=<redacted>", "-o", "x.lr=1e-3", "<redacted>"]
