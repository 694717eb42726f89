"""Where, when and with what a trial ran, for its record: cheap to take, and never a reason for a trial to fail."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papergen
from papergen.execution.devices import cpu_model, memory_gib, num_cores
from papergen.execution.launcher import Ended
from papergen.store.records import Provenance

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy")
"""Recorded where they are installed, beside the libraries that the trial's own code imports."""

GIT_LIMIT_S = 5.0
GIT_FRESH_S = 15
"""For so long the state of the repository is not asked for again."""
MAX_DIFF = 2**20
DRIVER = Path("/proc/driver/nvidia/version")

RELEVANT = re.compile(
    r"(CUDA|NCCL|GLOO|OMP|MKL|OPENBLAS|KMP|GOMP|TORCH|PYTORCH|HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|PYTHON|PAPERGEN"
    r"|SLURM|XLA|TRITON|CUBLAS|CUDNN|MASTER)_\w*$|(LANG|LC_ALL|PYTHONHASHSEED|PYTHONPATH|VIRTUAL_ENV|CONDA_PREFIX)$"
)
SECRET_NAME = re.compile(r"TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|API_?KEY|PRIVATE|AUTH", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[bp]-|AKIA)[A-Za-z0-9_-]{12,}")


def provenance_of(ended: Ended, *, command: Sequence[str], launcher: str) -> Provenance:
    """The record of a trial that has ended; what the trial did not say of its machine is taken from this one."""
    machine: dict[str, Any] = {"num_threads": ended.job.num_threads, **ended.machine}
    git = git_state(ended.job.project)
    libraries = ended.job.trial.parts.get("libraries", {})
    return Provenance(
        command=redacted_command(command),
        started=ended.started,
        ended=ended.ended,
        duration_s=ended.duration_s,
        hostname=", ".join(dict.fromkeys(machine.get("hosts") or [socket.gethostname()])),
        platform=str(machine.get("platform") or platform.platform()),
        python=str(machine.get("python") or platform.python_version()),
        papergen=papergen.__version__,
        packages={
            name: version for name in sorted({*PACKAGES, *libraries}) if (version := version_of(name)) is not None
        },
        cpu=str(machine.get("cpu") or _cpu()),
        num_cores=int(machine.get("num_cores") or num_cores()),
        memory_gib=float(machine.get("memory_gib") or round(memory_gib(), 1)),
        device=str(machine.get("device", "")),
        gpus=list(machine.get("gpus", [])),
        num_threads=int(machine["num_threads"]),
        backend=str(machine.get("backend", "")),
        launcher=launcher,
        git_commit=git.commit,
        git_is_dirty=git.is_dirty,
        load_average=float(machine.get("load_average", 0.0)),
        driver=_driver(),
        environment=relevant_environment(os.environ),
        failed_attempts=list(machine.get("restarts", [])),
    )


@functools.cache
def version_of(distribution: str) -> str | None:
    """The installed version, None where it is not installed; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


_cpu = functools.cache(cpu_model)
_driver = functools.cache(lambda: driver_version())


@dataclass(frozen=True, kw_only=True)
class GitState:
    """The project's repository at a moment: all empty outside one, without git, or when it does not answer in time."""

    commit: str = ""
    is_dirty: bool = False
    """Whether tracked files outside results/ and build/ differ from the commit."""
    diff: bytes = b""
    """How they differ, at most `MAX_DIFF` bytes of it."""


def git_state(project: Path) -> GitState:
    """The state of the project's repository, asked for again after `GIT_FRESH_S`."""
    return _git_state(project, int(time.monotonic() / GIT_FRESH_S))


@functools.lru_cache(maxsize=8)
def _git_state(project: Path, _moment: int) -> GitState:
    own = ["--", ".", ":!results", ":!build"]
    status = _git(project, "status", "--porcelain=v2", "--branch", "--untracked-files=no", *own)
    if status is None:
        return GitState()
    lines = status.decode(errors="replace").splitlines()
    commits = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    commit = commits[0] if commits and commits[0] != "(initial)" else ""
    is_dirty = any(not line.startswith("#") for line in lines)
    diff = _git(project, "diff", "--no-ext-diff", "--no-color", "HEAD", *own) if is_dirty and commit else None
    return GitState(commit=commit, is_dirty=is_dirty, diff=(diff or b"")[:MAX_DIFF])


def _git(project: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(project), *arguments],
            capture_output=True,
            timeout=GIT_LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def driver_version() -> str:
    """The version of the NVIDIA driver, "" where there is none."""
    try:
        text = DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return found.group() if found else ""


def relevant_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that can change what libraries compute, with what looks like a secret blotted out."""
    kept = {name: value for name, value in sorted(environment.items()) if RELEVANT.match(name)}
    return {name: redacted(name, value) for name, value in kept.items()}


def redacted(name: str, value: str) -> str:
    """The value, or `<redacted>` where the name or the look of it says that it is a secret."""
    if SECRET_NAME.search(name) or SECRET_VALUE.search(value):
        return "<redacted>"
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1<redacted>@", value)


def redacted_command(command: Sequence[str]) -> list[str]:
    """The command line without the values that look like secrets."""
    shown = []
    for word in command:
        name, equals, value = word.partition("=")
        shown.append(f"{name}={redacted(name, value)}" if equals else redacted("", word))
    return shown
