"""What a rank reports of the exception that ended it: its kind, one line, and the part of the traceback that counts.

The messages of torch, gloo, NCCL and CUDA are read here and nowhere else: in many places they raise a bare
RuntimeError, of which only the text says what happened.
"""

from __future__ import annotations

import errno
import re
import traceback
from pathlib import Path
from types import TracebackType

from papergen.core.errors import DiskFullError, MachineError, PapergenError
from papergen.store.failures import FailureKind

MAX_CAUSE = 500
"""Characters of a cause; torch's can run to pages."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE_FULL = 13
"""sqlite3.SQLITE_FULL; a rank that uses no SQLite need not import it."""
_RETRIED_STATUS = frozenset({408, 425, 429})
"""HTTP statuses below 500 that ask the client to come again."""

_TORCH_TYPES = {
    "OutOfMemoryError": FailureKind.OUT_OF_MEMORY,
    "AcceleratorError": FailureKind.HARDWARE,  # torch >= 2.8: "CUDA error: ..."
    "DistError": FailureKind.CONNECTION,  # base of DistBackendError (NCCL), DistNetworkError and DistStoreError
}
"""Exceptions of torch, which is not imported for their sake."""

_TORCH_MESSAGES: tuple[tuple[re.Pattern[str], FailureKind], ...] = (
    # TCPStore (torch/csrc/distributed/c10d/socket.cpp) says by a DistNetworkError that its port is taken.
    (re.compile(r"name: EADDRINUSE|EADDRINUSE, message: address already in use"), FailureKind.PORT_TAKEN),
    # c10/cuda/CUDACachingAllocator.cpp; torch before 2.5 raises it as RuntimeError in some places.
    (re.compile(r"^CUDA out of memory\. "), FailureKind.OUT_OF_MEMORY),
    # cudaErrorMemoryAllocation where torch's allocator was not asked: a context, a library's workspace.
    (re.compile(r"^CUDA error: out of memory\b"), FailureKind.OUT_OF_MEMORY),
    # c10/core/impl/alloc_cpu.cpp: "[enforce fail at alloc_cpu.cpp:127] ... can't allocate memory: you tried to ...".
    (re.compile(r"DefaultCPUAllocator: (can't allocate|not enough) memory"), FailureKind.OUT_OF_MEMORY),
    # gloo/transport/tcp/pair.cc:537 "Connection closed by peer", unbound_buffer.cc:78 "Timed out waiting 3000ms".
    (re.compile(r"^\[\S*gloo/\S+\.(cc|h):\d+\] "), FailureKind.CONNECTION),
    # gloo/rendezvous/context.cc, without a place in the source: "Gloo connectFullMesh failed with [...]".
    (re.compile(r"^Gloo connectFullMesh failed with "), FailureKind.CONNECTION),
    # torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp: "NCCL error in: ...", "NCCL communicator was aborted".
    (re.compile(r"^(\[Rank \d+\] )?NCCL (error|communicator)\b"), FailureKind.CONNECTION),
    # torch/utils/data/_utils/signal_handling.py: "DataLoader worker (pid 12) is killed by signal: Killed.".
    (re.compile(r"^DataLoader worker \(pid\S* [\d, ]+\) (is killed by|exited unexpectedly)"), FailureKind.KILLED),
    # c10/cuda/CUDAException.cpp before AcceleratorError, and ATen/cuda/Exceptions.h for its libraries.
    (re.compile(r"^(CUDA error: |cuDNN error: |cuSOLVER error: |CUDA driver error: )"), FailureKind.HARDWARE),
)


def kind_of(error: BaseException) -> FailureKind:
    """What kind of failure the exception is: by its type, its error number, and where torch has no type by its text."""
    match error:
        case DiskFullError():
            return FailureKind.DISK_FULL
        case MachineError():
            return FailureKind.MACHINE
        case PapergenError():
            return FailureKind.ERROR
        case MemoryError():
            return FailureKind.OUT_OF_MEMORY
    if _is_called(error, {"OperationalError"}, "sqlite3") and getattr(error, "sqlite_errorcode", 0) == _SQLITE_FULL:
        return FailureKind.DISK_FULL
    if (status := _http_status(error)) is not None:
        return FailureKind.CONNECTION if status >= 500 or status in _RETRIED_STATUS else FailureKind.ERROR
    if isinstance(error, OSError):
        return _kind_of_os_error(error)
    if _is_called(error, {"TimeoutException", "TransportError"}, "httpx"):  # no OSError, unlike those of requests
        return FailureKind.CONNECTION
    by_type = next((kind for name, kind in _TORCH_TYPES.items() if _is_called(error, {name}, "torch")), None)
    if isinstance(error, RuntimeError) and (by_type is not None or type(error) is RuntimeError):
        text = str(error)
        by_text = next((kind for pattern, kind in _TORCH_MESSAGES if pattern.search(text)), None)
        return by_text or by_type or FailureKind.ERROR
    return FailureKind.ERROR


def is_consequence(error: BaseException) -> bool:
    """Whether it tells of another rank's end more often than of this one's: a connection between ranks was lost.

    Torch says so by RuntimeErrors; what Python itself raises at a socket (multiprocessing, a store) counts as well. A
    server that does not answer is the rank's own fault to tell: requests, urllib and httpx have types of their own.
    """
    is_of_ranks = isinstance(error, RuntimeError) or type(error).__module__ == "builtins"
    return is_of_ranks and kind_of(error) is FailureKind.CONNECTION


def _kind_of_os_error(error: OSError) -> FailureKind:
    if error.errno in _NO_ROOM:
        return FailureKind.DISK_FULL
    if error.errno == errno.ENOMEM:  # fork and mmap say so by an OSError
        return FailureKind.OUT_OF_MEMORY
    if error.errno == errno.EADDRINUSE:
        return FailureKind.PORT_TAKEN
    if isinstance(error, ConnectionError | TimeoutError):
        return FailureKind.CONNECTION
    if _is_called(error, {"ConnectionError", "Timeout"}, "requests"):
        return FailureKind.CONNECTION
    if _is_called(error, {"URLError"}, "urllib"):  # no answer at all; an answer with a status is an HTTPError
        return FailureKind.CONNECTION
    # Common errors have a class of their own (FileNotFoundError, PermissionError): a bare OSError with a number is one
    # of the rare ones of a disk or a file server, EIO or ESTALE. Libraries raise OSErrors without a number for faults
    # of the input (transformers: "Can't load the configuration of ...").
    is_rare = type(error) in {OSError, BlockingIOError, InterruptedError} and error.errno is not None
    return FailureKind.HARDWARE if is_rare else FailureKind.ERROR


def _http_status(error: BaseException) -> int | None:
    """The status with which a server has answered, of an HTTPError of urllib, requests, httpx or huggingface_hub."""
    if not any("HTTP" in cls.__name__ for cls in type(error).__mro__):
        return None
    response = getattr(error, "response", None)
    status = getattr(error, "code", None) if response is None else getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _is_called(error: BaseException, names: set[str], package: str) -> bool:
    """Whether the exception is of a type of that name in that package, which need not be imported here."""
    return any(cls.__name__ in names and cls.__module__.partition(".")[0] == package for cls in type(error).__mro__)


def cause_of(error: BaseException) -> str:
    """One line that names the error: a PapergenError's message, else `ValueError: ...`."""
    text = error.message if isinstance(error, PapergenError) else f"{type(error).__name__}: {error}"
    line = " ".join(text.split())
    return line if len(line) <= MAX_CAUSE else line[: MAX_CAUSE - 3] + "..."


def advice_of(error: BaseException) -> str | None:
    """What a PapergenError says after its first line; None for any other exception, of which the traceback tells."""
    return "\n".join(str(error).splitlines()[1:]) if isinstance(error, PapergenError) else None


def traceback_of(error: BaseException) -> str:
    """The traceback from the experiment's first frame on; all of it when the experiment was not reached."""
    ours = {str(Path(__file__).with_name("rank.py")), str(Path(__file__).parents[2] / "experiment" / "kind.py")}
    rest: TracebackType | None = error.__traceback__
    while rest is not None and rest.tb_frame.f_code.co_filename in ours:
        rest = rest.tb_next
    return "".join(traceback.format_exception(type(error), error, rest or error.__traceback__))
