"""Running a TeX program: in a sandbox, a process group of its own, no terminal, limits on time and output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from papergen.core.errors import MachineError, PapergenError
from papergen.latex.build.kpathsea import tex_folders
from papergen.latex.build.sandbox import sandboxed

MAX_FILE_MIB = 256
"""No file that TeX writes may grow beyond this; a document that loops fills the disk otherwise."""


_END_WITH_US = "exec 3<&0 </dev/null && { (read -r _; kill -9 0) <&3 3<&- & }"
"""Shell: end this process group when the pipe on standard input closes, which a `kill -9` of papergen does, too."""


class Deadline:
    """Seconds that all passes of one build share."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """What is left, at least a little, so that a process can be started and killed."""
        return max(0.01, self._end - time.monotonic())


class TimeLimitError(PapergenError):
    """A TeX program ran past the time limit and was killed, with everything it had started."""


def run(
    command: Sequence[str],
    *,
    folder: Path,
    environment: dict[str, str],
    deadline: Deadline,
    terminal: Path,
    read: Iterable[Path] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run a program in `folder`, the only one it can write to, and wait; what it says goes to the file `terminal`.

    `read` names what else it may read beside TeX's own trees.

    Raises TimeLimitError past the deadline, PapergenError when it wrote too much, MachineError when it cannot be
    started.
    """
    blocks = MAX_FILE_MIB * 2048  # of 512 bytes, the unit of POSIX's ulimit -f
    # In sh, for `preexec_fn` of subprocess may deadlock in a process with threads. -c 0: no core files in the folder.
    limited = [
        "/bin/sh",
        "-c",
        f'ulimit -f "$0" && ulimit -c 0 && {_END_WITH_US} && exec "$@" 3<&-',
        str(blocks),
        *command,
    ]
    program = Path(command[0])
    # mktexfmt keeps the formats that it makes there.
    caches = [Path(environment[name]) for name in ("TEXMFVAR",) if name in environment]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            limited,
            cwd=folder,
            env={**environment, "TMPDIR": str(folder)},
            stdin=lifeline,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    with terminal.open("wb") as sink, _lifeline() as lifeline:
        try:
            process = sandboxed(start, read=[*tex_folders(program), *read], write=[folder, *caches])
        except OSError as error:
            raise MachineError(f"{command[0]} could not be started: {error.strerror}.") from error
        try:
            code = _waited(process, deadline.left_s())
        except subprocess.TimeoutExpired as error:
            raise TimeLimitError(
                f"{program.name} did not finish within {deadline.timeout_s:g} s and was killed.",
                hint="A macro may call itself without end; raise the time limit if the paper is only long.",
            ) from error
        finally:
            _kill_group(process)
    if code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ):  # 128 + n: what sh gives for a child that a signal ended
        raise PapergenError(
            f"{program.name} was stopped: it wrote a file larger than {MAX_FILE_MIB} MiB.",
            hint="A loop in the document adds pages or text without end.",
        )
    return subprocess.CompletedProcess(list(command), code)


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    """The read end of a pipe whose write end this process alone holds, until it ends or leaves the block."""
    ours, held = os.pipe()
    try:
        yield ours
    finally:
        os.close(ours)
        os.close(held)


def _waited(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """The exit code; subprocess.TimeoutExpired past the limit.

    `Popen.wait` with a limit looks every 50 ms at most; a pidfd (Linux 5.3) wakes when the process ends.
    """
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(process.pid)
        except OSError:  # an older kernel, or no more file descriptors
            return process.wait(timeout=timeout_s)
        try:
            if not select.select([handle], [], [], timeout_s)[0]:
                raise subprocess.TimeoutExpired(process.args, timeout_s)
        finally:
            os.close(handle)
    return process.wait(timeout=timeout_s)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started; the group may be gone already (macOS: PermissionError for a zombie)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
