"""Which kind of failure an exception is, by type, number, or the very text that torch 2.13 was seen to raise."""

from __future__ import annotations

import errno
import json
import sqlite3
import urllib.error
from email.message import Message
from pathlib import Path

import pytest
import torch
from lab import Lab, run_job

from papergen.core.errors import MachineError, PapergenError
from papergen.core.files import disk_error
from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.scheduler import RETRIED
from papergen.execution.worker.exceptions import is_consequence, kind_of
from papergen.store.failures import Failure, FailureKind

TAKEN = (
    "The server socket has failed to listen on any local network address. port: 29877, useIpv6: false, code: -98, "
    "name: EADDRINUSE, message: address already in use"
)
GLOO = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/"


def http_error(status: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError("https://example.org", status, "no", Message(), None)


def sqlite_full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("gloomy data"), FailureKind.ERROR),
        (ValueError("bad data"), FailureKind.ERROR),
        (ValueError("a peer timed out: CUDA error, NCCL, No space left on device"), FailureKind.ERROR),
        (RuntimeError("the peer review timed out"), FailureKind.ERROR),
        (SystemExit(0), FailureKind.ERROR),
        (PapergenError("size = 3: write 2 or 4."), FailureKind.ERROR),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), FailureKind.ERROR),
        (PermissionError(errno.EACCES, "Permission denied"), FailureKind.ERROR),
        (OSError("Can't load the configuration of 'gpt3'"), FailureKind.ERROR),
        (http_error(404), FailureKind.ERROR),
        (MachineError("there is no CUDA here"), FailureKind.MACHINE),
        (disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("x")), FailureKind.DISK_FULL),
        (OSError(errno.ENOSPC, "No space left on device"), FailureKind.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), FailureKind.DISK_FULL),
        (sqlite_full(), FailureKind.DISK_FULL),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported"), FailureKind.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), FailureKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), FailureKind.OUT_OF_MEMORY),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 4000000000000000 bytes. Error code 12 (Cannot allocate memory)"
            ),
            FailureKind.OUT_OF_MEMORY,
        ),
        (RuntimeError("CUDA error: device-side assert triggered"), FailureKind.HARDWARE),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `x`"), FailureKind.HARDWARE),
        (OSError(errno.EIO, "Input/output error"), FailureKind.HARDWARE),
        (OSError(errno.ESTALE, "Stale file handle"), FailureKind.HARDWARE),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), FailureKind.CONNECTION),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), FailureKind.CONNECTION),
        (TimeoutError("timed out"), FailureKind.CONNECTION),
        (urllib.error.URLError("no route to host"), FailureKind.CONNECTION),
        (http_error(503), FailureKind.CONNECTION),
        (http_error(429), FailureKind.CONNECTION),
        (
            RuntimeError(f"{GLOO}pair.cc:537] Read error [127.0.0.1]:18341: Connection reset"),
            FailureKind.CONNECTION,
        ),
        (
            RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 3000ms for recv operation to complete"),
            FailureKind.CONNECTION,
        ),
        (torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp:94"), FailureKind.CONNECTION),
        (torch.distributed.DistStoreError("wait timeout after 1000ms, keys: /k"), FailureKind.CONNECTION),
        (torch.distributed.DistNetworkError("The client socket has timed out after 1000ms"), FailureKind.CONNECTION),
        (torch.distributed.DistNetworkError(TAKEN), FailureKind.PORT_TAKEN),
        (OSError(errno.EADDRINUSE, "Address already in use"), FailureKind.PORT_TAKEN),
        (RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "), FailureKind.KILLED),
        (RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly"), FailureKind.KILLED),
    ],
)
def test_the_kind_of_an_exception(error: BaseException, kind: FailureKind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (RuntimeError(f"{GLOO}pair.cc:537] Connection closed by peer [127.0.0.1]:29500"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted on rank 1."), True),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), True),
        (ValueError("my peer review failed"), False),
        (RuntimeError("Connection closed by peer, says my own code"), False),
        (http_error(503), False),
        (urllib.error.URLError("connection refused"), False),
    ],
)
def test_only_a_connection_between_ranks_tells_of_another_rank(error: BaseException, is_told: bool) -> None:
    assert is_consequence(error) is is_told


def test_what_torch_really_raises_without_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert kind_of(caught.value) is FailureKind.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ValueError('gloomy data')", FailureKind.ERROR),
        ("os.kill(os.getpid(), signal.SIGKILL)", FailureKind.KILLED),
        ("os._exit(7)", FailureKind.EXITED),
        ("raise MemoryError", FailureKind.OUT_OF_MEMORY),
        ("from papergen.core.errors import MachineError\nraise MachineError('no GPU')", FailureKind.MACHINE),
    ],
)
def test_the_kind_arrives_at_the_launcher(lab: Lab, launcher: LocalLauncher, body: str, kind: FailureKind) -> None:
    _, ended = run_job(launcher, lab.job(body), limit_s=15)
    assert ended.failure is not None
    assert ended.failure.kind is kind
    assert (kind in RETRIED) is (kind not in {FailureKind.ERROR, FailureKind.MACHINE})


def test_a_record_without_a_kind_or_with_a_later_one_still_reads() -> None:
    old = {"rank": 1, "cause": "ValueError: no", "traceback": "", "log": "", "attempts": []}
    assert Failure.from_json(old).kind is FailureKind.UNKNOWN
    assert Failure.from_json({**old, "kind": "eclipse", "more": 1}).kind is FailureKind.UNKNOWN
    written = json.loads(json.dumps({**old, "kind": FailureKind.HANG}))
    assert Failure.from_json(written) == Failure(kind=FailureKind.HANG, rank=1, cause="ValueError: no")
