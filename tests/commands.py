"""papergen run as a command, as a person types it, and what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def papergen(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "papergen", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def results(project: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((project / "results").glob("*/*/result.json"))]


def start(project: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "papergen", "run-exp"],
        cwd=project,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition: object, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def marked(mark: str) -> list[int]:
    """Processes that carry the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                f"PAPERGEN_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes()
                and (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return found
