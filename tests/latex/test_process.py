"""TeX programs end with papergen, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from papergen.latex.build.process import Deadline, run

PROGRAM = """
import sys
from pathlib import Path
from papergen.latex.build.process import Deadline, run
folder = Path(sys.argv[1])
run(["/bin/sh", "-c", "echo $$ > started; sleep 60; echo late > late"], folder=folder,
    environment={"PATH": "/usr/bin:/bin"}, deadline=Deadline(60), terminal=folder / "terminal")
"""


def is_alive(pid: int) -> bool:
    """Whether it runs; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_program_outlives_a_killed_papergen(tmp_path: Path, how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)]) as papergen:
        until = time.monotonic() + 20
        while not (tmp_path / "started").is_file() or not (tmp_path / "started").read_text():
            assert time.monotonic() < until
            assert papergen.poll() is None
            time.sleep(0.02)
        pid = int((tmp_path / "started").read_text())
        assert is_alive(pid)
        papergen.send_signal(how)
    until = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_alive(pid)
    assert not (tmp_path / "late").exists()


def test_a_program_sees_no_input_and_its_code_comes_back(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "cat; exit 7"]
    done = run(
        command, folder=tmp_path, environment={"PATH": "/usr/bin:/bin"}, deadline=Deadline(20), terminal=tmp_path / "t"
    )
    assert done.returncode == 7
    assert (tmp_path / "t").read_text() == ""
