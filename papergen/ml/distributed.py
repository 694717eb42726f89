"""Joining and leaving the process group: env:// contract, explicit backend and timeout, one group per process."""

from __future__ import annotations

import datetime as dt
import os
import sys
from dataclasses import dataclass
from typing import NoReturn

import torch
import torch.distributed as dist

from papergen.core.errors import MachineError


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Where one process stands among its peers."""

    rank: int
    world_size: int
    local_rank: int
    device: torch.device
    backend: str
    """"gloo", "nccl", or "none" for a single process."""

    @property
    def is_main(self) -> bool:
        """Whether this rank writes what is written once."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """`values` summed over the ranks, in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def maximum(self, value: float) -> float:
        """The largest of the ranks' values."""
        if self.world_size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(held, dist.ReduceOp.MAX)
        return float(held.item())

    def from_main(self, text: str | None) -> str:
        """Rank 0's text on every rank, without a shared file system and without pickle."""
        if self.world_size == 1:
            assert text is not None, "rank 0 must have the text"
            return text
        data = b"" if text is None else text.encode()
        size = torch.tensor([len(data)], dtype=torch.int64, device=self.device)
        dist.broadcast(size, src=0)
        if not size.item():
            return ""
        held = torch.zeros(int(size.item()), dtype=torch.uint8, device=self.device)
        if self.is_main:
            held.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
        dist.broadcast(held, src=0)
        return bytes(held.cpu().numpy()).decode()

    def gathered(self, text: str) -> list[str]:
        """Every rank's text, in the order of the ranks, on every rank; without pickle."""
        if self.world_size == 1:
            return [text]
        data = text.encode()
        sizes = torch.zeros(self.world_size, dtype=torch.int64, device=self.device)
        sizes[self.rank] = len(data)
        self.sum(sizes)
        longest = max(1, int(sizes.max().item()))
        held = torch.zeros(longest, dtype=torch.uint8)
        if data:
            held[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        rows = [torch.zeros(longest, dtype=torch.uint8, device=self.device) for _ in range(self.world_size)]
        dist.all_gather(rows, held.to(self.device))
        return [bytes(row.cpu().numpy()[: int(size)]).decode() for row, size in zip(rows, sizes.tolist(), strict=True)]

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.world_size > 1:
            dist.barrier()


ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
"""A process without peers."""


def device_of(device: str, *, rank: int, local_rank: int) -> torch.device:
    """Where a rank computes: the CPU, or with "cuda" GPU `local_rank`, which becomes the process's current one.

    Raises MachineError when there are not so many GPUs.
    """
    if device != "cuda":
        return torch.device("cpu")
    num_gpus = torch.cuda.device_count()
    if local_rank >= num_gpus:
        raise MachineError(
            f"rank {rank} needs GPU {local_rank}, but {num_gpus} {'is' if num_gpus == 1 else 'are'} visible here.",
            hint=f"Use --device cpu, or world_size: {max(1, num_gpus)}.",
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def join(
    *, rank: int, world_size: int, local_rank: int, device: str, timeout_s: int, patience_s: int | None = None
) -> Ranks:
    """Join the group of `world_size` processes at MASTER_ADDR:MASTER_PORT; a group joined before is used again.

    `device` is "cpu" or "cuda", where the tensors of collectives are. They may wait for a slow rank `patience_s`, or
    `timeout_s` when that is absent. Raises MachineError, naming the missing ranks on gloo, when the peers do not all
    arrive within `timeout_s`.
    """
    place = device_of(device, rank=rank, local_rank=local_rank)
    if world_size == 1:
        return Ranks(rank=rank, world_size=1, local_rank=local_rank, device=place, backend="none")
    backend = "nccl" if device == "cuda" else "gloo"
    timeout = dt.timedelta(seconds=timeout_s)
    try:
        if not dist.is_initialized():
            dist.init_process_group(
                backend,
                init_method="env://",
                rank=rank,
                world_size=world_size,
                timeout=timeout if patience_s is None else dt.timedelta(seconds=patience_s),
                device_id=place if device == "cuda" else None,
            )
        assert dist.get_world_size() == world_size, "the group joined before has another size"
        if backend == "gloo":
            # The one barrier that says who is missing; later collectives only time out.
            dist.monitored_barrier(timeout=timeout, wait_all_ranks=True)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise MachineError(f"rank {rank} could not join the {world_size} ranks at {address}: {error}") from error
    return Ranks(rank=rank, world_size=world_size, local_rank=local_rank, device=place, backend=backend)


def leave() -> None:
    """Wait until every rank has come as far; call it when all is written, right before `exit_now`."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()


def exit_now(code: int = 0) -> NoReturn:
    """Flush and end the process without destructors.

    Plain teardown of gloo aborted 2 of 8 runs and deadlocked once (shared/notes/ddp.md 3.4; pytorch#56297).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
