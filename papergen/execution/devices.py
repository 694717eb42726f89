"""What this machine has, found without importing torch: cores, memory, GPUs; and the device a run-exp uses."""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import MachineError

QUERY = ["nvidia-smi", "--query-gpu=uuid,name,memory.total", "--format=csv,noheader,nounits"]
QUERY_LIMIT_S = 5.0
"""A driver in trouble answers after minutes or never."""
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU that may be used."""

    name_for_cuda: str
    """What CUDA_VISIBLE_DEVICES calls it: the user's own word, else its UUID, whose meaning no ordering changes."""
    name: str = ""
    memory_gib: float = 0.0
    uuid: str = ""

    @property
    def identity(self) -> str:
        """What every process on the machine calls it: its UUID where that is known."""
        return self.uuid or self.name_for_cuda


def choose_device(requested: str) -> tuple[str, str]:
    """The device for "auto", "cpu" or "cuda", and why; MachineError when CUDA is asked for and cannot be used."""
    if requested == "cpu":
        return "cpu", "asked for"
    assert requested in {"auto", "cuda"}, f"there is no device {requested!r}"
    gpus, problem = _look_for_gpus()
    if gpus:
        count = f"{len(gpus)} CUDA GPU{'s' if len(gpus) > 1 else ''}"
        return "cuda", f"{count}{f' ({gpus[0].name})' if gpus[0].name else ''}"
    if requested == "auto":
        return "cpu", f"no CUDA GPU ({problem})"
    raise MachineError(f"--device cuda: no CUDA GPU can be used: {problem}.", hint="Use --device cpu, or auto.")


def find_gpus() -> tuple[Gpu, ...]:
    """The GPUs that torch would see, none where it has no CUDA."""
    return _look_for_gpus()[0]


@functools.cache
def _look_for_gpus() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, and why there are none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    words = None if visible is None else [word.strip() for word in visible.split(",")]
    if words is not None and (not words[0] or words[0].startswith("-")):
        return (), f"CUDA_VISIBLE_DEVICES is {visible!r}"
    try:
        done = subprocess.run(
            QUERY, capture_output=True, text=True, timeout=QUERY_LIMIT_S, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        return (), "nvidia-smi is absent"
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), f"nvidia-smi did not answer: {error}"
    if done.returncode != 0:
        return (), f"nvidia-smi failed: {(done.stdout + done.stderr).strip().splitlines()[-1:]}"
    found = [gpu for line in done.stdout.splitlines() if (gpu := _parse(line)) is not None]
    if not found:
        return (), "nvidia-smi lists none"
    cuda = torch_cuda()
    if cuda is None:
        return (), "this build of torch has no CUDA"
    if words is not None:
        return tuple(_named(word, found) for word in words[: len(found)]), ""
    return tuple(found), ""


def _parse(line: str) -> Gpu | None:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) < 3 or not fields[0].startswith("GPU-"):
        return None
    memory = float(fields[-1]) / 1024 if re.fullmatch(r"[\d.]+", fields[-1]) else 0.0
    return Gpu(name_for_cuda=fields[0], name=", ".join(fields[1:-1]), memory_gib=memory, uuid=fields[0])


def _named(word: str, found: list[Gpu]) -> Gpu:
    for gpu in found:
        if gpu.name_for_cuda.startswith(word):
            return Gpu(name_for_cuda=word, name=gpu.name, memory_gib=gpu.memory_gib, uuid=gpu.uuid)
    # A number counts in CUDA's order, which need not be nvidia-smi's; where all are alike the name is known anyway.
    names = {gpu.name for gpu in found}
    is_ordered = len(names) == 1 or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    uuid = found[int(word)].uuid if is_ordered and word.isdigit() and int(word) < len(found) else ""
    return Gpu(name_for_cuda=word, name=names.pop() if len(names) == 1 else "", uuid=uuid)


def torch_cuda() -> str | None:
    """The CUDA version that the installed torch was built for, None without torch or CUDA; reads, does not import."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "version.py"
    if not path.is_file():
        return None
    found = re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else None


def num_cores() -> int:
    """CPU cores that this process may use: its affinity, cut to the quota of its control group; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for text in _cgroup_values("cpu.max") if (quota := _quota(text)) is not None]
    quotas += [quota for quota in [_quota_v1()] if quota is not None]
    return max(1, min([allowed, *(math.floor(quota) for quota in quotas)]))


def memory_gib() -> float:
    """Memory that this process may use, in GiB: the machine's, cut to the limit of its control group."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [int(text) for text in _cgroup_values("memory.max") if text.isdigit()]
    return min([total, *limits]) / 2**30


def cpu_model() -> str:
    """The processor's name as the kernel gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _cgroup_values(name: str) -> Iterator[str]:
    """The setting `name` of this process's control group (version 2) and of all above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        if not line.startswith("0::/"):
            continue
        folder = CGROUPS / line.removeprefix("0::/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(CGROUPS):
                break
            try:
                yield (place / name).read_text(encoding="utf-8").strip()
            except OSError:
                continue


def _quota(text: str) -> float | None:
    words = text.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None  # "max 100000": no limit
    return int(words[0]) / int(words[1])


def _quota_v1() -> float | None:
    try:
        quota = int((CGROUPS / "cpu/cpu.cfs_quota_us").read_text())
        period = int((CGROUPS / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
