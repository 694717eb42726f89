"""Folders of a command for the time it runs: none stays, that of a killed command no longer than to the next."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from papergen.core.scratch import scratch_folder

HOLD = """
import sys, time
from pathlib import Path
from papergen.core.scratch import scratch_folder
with scratch_folder("held", Path(sys.argv[1]) if len(sys.argv) > 1 else None) as folder:
    (folder / "large.bin").write_bytes(b"0")
    print(folder.name, flush=True)
    time.sleep(60)
"""


def holder(place: Path, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, place / Path(process.stdout.readline().strip())


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("is_hidden", [False, True])
def test_the_folder_of_a_killed_command_goes_with_the_next_one(
    is_hidden: bool, odd_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(odd_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    arguments = [str(odd_path)] if is_hidden else []
    running, held = holder(odd_path, *arguments)
    killed, left = holder(odd_path, *arguments)
    kill(killed)
    not_ours = [
        odd_path / name for name in ("papergen-diff-1", "papergen-scratch-notes", "papergen-scratch-a-0123456x")
    ]
    for folder in not_ours:
        folder.mkdir()
    elsewhere = odd_path / "data"
    elsewhere.mkdir()
    (odd_path / "papergen-scratch-link-01234567").symlink_to(elsewhere)
    assert (left / "large.bin").is_file()
    try:
        with scratch_folder("next", odd_path if is_hidden else None) as mine:
            assert mine.parent == odd_path
            assert mine.name.startswith(".") is is_hidden
            assert not left.exists()
            assert (held / "large.bin").is_file()
        assert not mine.exists()
    finally:
        kill(running)
    assert all(folder.is_dir() for folder in [*not_ours, elsewhere])


def test_a_folder_that_cannot_be_locked_is_used_and_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: int, operation: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr("papergen.core.locks.fcntl.flock", refused)
    with scratch_folder("one", tmp_path) as one, scratch_folder("two", tmp_path) as two:
        assert one.is_dir()
        assert two.is_dir()
    assert not list(tmp_path.iterdir())
