"""From documents to batches: token blocks, and which of them each rank sees at an optimiser step.

The order is a function of (seed, epoch, step) alone, so that a resumed run reads on where it stopped, and the sequences
of a step are the same for every world size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.data import Dataset, DistributedSampler

from papergen.core.errors import PapergenError

IGNORED = -100
"""Target of a padded position: counts for nothing in loss or mean."""


@dataclass(frozen=True)
class TokenBatch:
    """Inputs and targets of one forward pass, both (batch, time) int64; targets are the inputs' successors."""

    inputs: torch.Tensor
    targets: torch.Tensor

    @property
    def num_targets(self) -> int:
        """Real target tokens, padding not counted."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device) -> TokenBatch:
        """The batch on `device`; from the CPU to a GPU without waiting."""
        if device.type == "cpu":
            return self
        return TokenBatch(
            self.inputs.pin_memory().to(device, non_blocking=True),
            self.targets.pin_memory().to(device, non_blocking=True),
        )


class Blocks(Dataset[torch.Tensor]):
    """Stretches of at most `block_size + 1` tokens, the last of one being the first of the next: inputs and targets.

    Every token but the first of each stream is the target of exactly one block.
    """

    def __init__(self, streams: Iterable[torch.Tensor], block_size: int) -> None:
        self.blocks = [
            stream[start : start + block_size + 1]
            for stream in streams
            for start in range(0, len(stream) - 1, block_size)
        ]
        self.block_size = block_size

    def __len__(self) -> int:
        """Number of blocks, short ones included."""
        return len(self.blocks)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.blocks[index]

    @property
    def num_targets(self) -> int:
        """Target tokens of all blocks."""
        return sum(len(block) - 1 for block in self.blocks)

    def full(self) -> Blocks:
        """Only the blocks of full length."""
        chosen = Blocks((), self.block_size)
        chosen.blocks = [block for block in self.blocks if len(block) == self.block_size + 1]
        return chosen

    def batch(self, indices: Sequence[int], pad: int) -> TokenBatch:
        """The blocks at `indices`, padded on the right to the longest of them."""
        chosen = [self.blocks[index] for index in indices]
        length = max(len(block) for block in chosen) - 1
        inputs = torch.full((len(chosen), length), pad)
        targets = torch.full((len(chosen), length), IGNORED)
        for row, block in enumerate(chosen):
            inputs[row, : len(block) - 1] = block[:-1]
            targets[row, : len(block) - 1] = block[1:]
        return TokenBatch(inputs, targets)


def encode(
    documents: Iterable[str], tokenizer: Any, block_size: int, packing: Literal["stream", "documents"]
) -> Blocks:
    """Documents as blocks, an end of text before and after each: one stream of all, or one stream per document."""
    end = tokenizer.eos_token_id
    ids = [tokenizer.encode(text, add_special_tokens=False, verbose=False) for text in documents]
    if packing == "documents":
        return Blocks((torch.tensor([end, *each, end]) for each in ids), block_size)
    return Blocks([torch.tensor([end, *(token for each in ids for token in (*each, end))])], block_size)


class BlockOrder:
    """Which blocks a rank sees at an optimiser step, by torch's DistributedSampler."""

    def __init__(
        self, blocks: Sized, *, batch_size: int, rank: int, world_size: int, seed: int, set_epoch: bool = True
    ) -> None:
        if len(blocks) < batch_size:
            raise PapergenError(
                f"The training text makes {len(blocks)} sequences, fewer than batch_size = {batch_size}.",
                hint=f"Use batch_size: {max(1, len(blocks) // 2)} or less, a smaller block_size, or a longer text.",
            )
        assert batch_size % world_size == 0, "the settings refuse a batch that the ranks cannot share evenly"
        self.steps_per_epoch = len(blocks) // batch_size
        self._per_rank = batch_size // world_size
        self._set_epoch = set_epoch
        # Rank r takes every world_size-th index, so a step's slices on all ranks together are one stretch of the
        # global order: the same sequences for every world size.
        data: Any = blocks  # the sampler asks for its length only
        self._sampler: DistributedSampler[torch.Tensor] = DistributedSampler(
            data, num_replicas=world_size, rank=rank, shuffle=True, seed=seed, drop_last=True
        )
        self._epoch = -1
        self._indices: list[int] = []

    def at(self, step: int) -> list[int]:
        """The rank's block indices at a step counted from 0 over all epochs."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            if self._set_epoch:
                self._sampler.set_epoch(epoch)
            self._epoch, self._indices = epoch, [int(index) for index in iter(self._sampler)]
        return self._indices[within * self._per_rank : (within + 1) * self._per_rank]
