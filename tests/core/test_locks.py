"""A lock keeps others out while its holder lives, says who that is, and is gone with it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from papergen.core import locks
from papergen.core.errors import MachineError, PapergenError
from papergen.core.locks import holder_of, locked, try_lock

HOLD = """
import sys
from pathlib import Path
from papergen.core.locks import locked
with locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "论文 results" / ".lock"


def test_a_second_one_is_told_at_once_who_holds_it(path: Path) -> None:
    with other_process(path) as process:
        for _ in range(2):  # a failed try leaves the holder's words as they are
            with pytest.raises(PapergenError) as caught, locked(path, "busy here"):
                pass
            assert caught.value.message.startswith(f"busy here\nIt is process {process.pid} on ")
        holder = holder_of(path)
        assert holder is not None
        assert (holder.pid, holder.since_ns) == (process.pid, path.stat().st_mtime_ns)


def test_a_kill_9_leaves_nothing_that_keeps_anybody_out(path: Path) -> None:
    with other_process(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert holder_of(path) is None
        with locked(path, "busy here"):
            assert holder_of(path) is not None


def test_it_is_free_after_the_block_and_after_an_error_in_it(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(path, "busy"):
        1 / 0  # noqa: B018
    assert holder_of(path) is None
    with locked(path, "busy"):
        with pytest.raises(PapergenError, match="busy"), locked(path, "busy"):
            pass
        holder = holder_of(path)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert holder_of(path) is None


def test_a_number_that_now_belongs_to_another_process_holds_nothing(path: Path) -> None:
    with other_process(path) as process:
        text = path.read_text()
        process.kill()
        process.wait()
    path.write_text(text.replace(f'"pid": {process.pid}', f'"pid": {os.getpid()}'))
    assert holder_of(path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"pid": 1}', "\udcff"])
def test_whatever_stands_in_the_file_is_no_traceback(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content, errors="surrogateescape")
    assert holder_of(path) is None
    with locked(path, "busy"):
        assert holder_of(path) is not None


def test_a_child_that_was_forked_does_not_give_the_lock_away(path: Path) -> None:
    with locked(path, "busy"):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        command = [sys.executable, "-c", HOLD, str(path)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert "busy" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(MachineError, match="no lock can be had here") as caught, locked(path, "busy"):
        pass
    assert len(str(caught.value).splitlines()) == 2


def test_a_folder_is_locked_by_many_who_use_it_or_by_one_who_removes_it(tmp_path: Path) -> None:
    handles = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    try:
        assert try_lock(handles[0], is_shared=True)
        assert try_lock(handles[1], is_shared=True)
        assert not try_lock(handles[2])
        os.close(handles.pop(0))
        os.close(handles.pop(0))
        assert try_lock(handles[0])
    finally:
        for handle in handles:
            os.close(handle)


def test_a_system_without_fcntl_can_import_and_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None; import papergen.store.runs, papergen.core.scratch\n"
        "from papergen.core.locks import holder_of; from pathlib import Path; print(holder_of(Path('none')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(OSError, match="no flock"):
        try_lock(0)
