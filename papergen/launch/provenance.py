"""Where, when and with what a trial ran, for its record: cheap to take, and never a reason for a trial to fail."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import papergen
from papergen.launch.base import Ended
from papergen.launch.detect import cpu_model, memory_gib, num_cores
from papergen.records import Provenance

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy")
"""Recorded where they are installed, beside the libraries that the trial's own code imports."""

GIT_LIMIT_S = 5.0
GIT_FRESH_S = 60
"""For so long the state of the repository is not asked for again."""


def provenance_of(ended: Ended, *, command: Sequence[str], launcher: str) -> Provenance:
    """The record of a trial that has ended, on this machine."""
    machine: dict[str, Any] = {"num_threads": ended.job.num_threads, **ended.machine}
    commit, is_dirty = git_state(ended.job.project)
    libraries = ended.job.trial.parts.get("libraries", {})
    return Provenance(
        command=list(command),
        started=ended.started,
        ended=ended.ended,
        duration_s=ended.duration_s,
        hostname=socket.gethostname(),
        platform=platform.platform(),
        python=platform.python_version(),
        papergen=papergen.__version__,
        packages={
            name: version for name in sorted({*PACKAGES, *libraries}) if (version := version_of(name)) is not None
        },
        cpu=_cpu(),
        num_cores=num_cores(),
        memory_gib=round(memory_gib(), 1),
        device=str(machine.get("device", "")),
        gpus=list(machine.get("gpus", [])),
        num_threads=int(machine["num_threads"]),
        backend=str(machine.get("backend", "")),
        launcher=launcher,
        git_commit=commit,
        git_is_dirty=is_dirty,
        load_average=float(machine.get("load_average", 0.0)),
    )


@functools.cache
def version_of(distribution: str) -> str | None:
    """The installed version, None where it is not installed; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


_cpu = functools.cache(cpu_model)


def git_state(project: Path) -> tuple[str, bool]:
    """Commit of the project's repository and whether tracked files outside results/ and build/ differ from it.

    ("", False) outside a repository, without git, or when it does not answer in time.
    """
    return _git_state(project, int(time.monotonic() / GIT_FRESH_S))


@functools.lru_cache(maxsize=8)
def _git_state(project: Path, _moment: int) -> tuple[str, bool]:
    arguments = ["status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".", ":!results", ":!build"]
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(project), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return "", False
    if done.returncode != 0:
        return "", False
    lines = done.stdout.splitlines()
    commits = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    commit = commits[0] if commits and commits[0] != "(initial)" else ""
    return commit, any(not line.startswith("#") for line in lines)
