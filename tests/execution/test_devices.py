"""What the machine has: cores, memory, GPUs, and the device that a run-exp uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from papergen.core.errors import MachineError
from papergen.execution import devices as detect
from papergen.execution.devices import choose_device, cpu_model, find_gpus, memory_gib, num_cores, torch_cuda

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


def test_a_number_names_the_gpu_that_nvidia_smi_lists_there_when_all_are_alike(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-1111")
    assert [(gpu.name_for_cuda, gpu.identity) for gpu in find_gpus()] == [
        ("1", "GPU-2222-bbbb"),
        ("GPU-1111", "GPU-1111-aaaa"),
    ]
