"""Rows of unequal length in batches of like length: little padding; and which examples a rank sees at a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

BATCH_TOKENS = {"cpu": 512, "cuda": 16384}
"""Tokens of a forward pass, padding included. On a CPU the widest activation of a small model, 512 tokens of 4 x 128
floats, fills a cache of 1 MiB: 512 was the fastest of 256 to 4096 (docs/LOG.md). A GPU wants many more."""

WINDOW = 8
"""Batches whose examples are sorted by length together: enough that little is padded, and batches stay random."""


def batches(
    lengths: Sequence[int],
    *,
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    group_by_length: bool = True,
) -> list[list[int]]:
    """Indices of the rows of each batch: at most `batch_size` rows, and `batch_tokens` tokens when padded.

    Rows go by length, or in their order when not `group_by_length`. A row longer than `batch_tokens` stands alone.
    """
    order = list(range(len(lengths)))
    if group_by_length:
        order.sort(key=lambda index: lengths[index])
    found: list[list[int]] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        rows = len(found[-1]) + 1 if found else 0
        if (
            not found
            or (batch_size is not None and rows > batch_size)
            or (batch_tokens is not None and rows * longest > batch_tokens)
        ):
            found.append([])
            longest = lengths[index]
        found[-1].append(index)
    return found


def padded(rows: Sequence[Sequence[int]], fill: int, *, width: int | None = None, side: str = "right") -> torch.Tensor:
    """Rows as one (rows, width) tensor, filled up on the right or left; to the longest when no width is given."""
    length = max(map(len, rows)) if width is None else width
    if side == "left":
        return torch.tensor([[*[fill] * (length - len(row)), *row] for row in rows])
    return torch.tensor([[*row, *[fill] * (length - len(row))] for row in rows])


class ExampleOrder:
    """Which examples a rank sees at a step: a function of (seed, epoch, step), the same for any number of ranks.

    Indices of a shuffled epoch in batches; with `group_by_length` examples of like length share a batch.

    Shuffled first, then sorted within stretches of WINDOW batches, and the batches shuffled again: every example keeps
    the same chance of every step. What is left over after the last whole batch is left out of that epoch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int,
        rank: int,
        world_size: int,
        seed: int,
        group_by_length: bool,
    ) -> None:
        assert batch_size % world_size == 0, "the settings refuse a batch that the ranks cannot share evenly"
        assert len(lengths) >= batch_size, "the caller refuses fewer examples than a batch"
        self.steps_per_epoch = len(lengths) // batch_size
        self._lengths = lengths
        self._batch_size = batch_size
        self._rank, self._world_size = rank, world_size
        self._seed = seed
        self._group_by_length = group_by_length
        self._epoch = -1
        self._batches: list[list[int]] = []

    def at(self, step: int) -> list[int]:
        """The rank's indices at a step counted from 0 over all epochs: every world_size-th of the batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._of_epoch(epoch)
        return self._batches[within][self._rank :: self._world_size]

    def _of_epoch(self, epoch: int) -> list[list[int]]:
        draw = torch.Generator().manual_seed((self._seed + epoch) % 2**63)
        order = torch.randperm(len(self._lengths), generator=draw).tolist()
        order = order[: self.steps_per_epoch * self._batch_size]
        if self._group_by_length:
            stretch = WINDOW * self._batch_size
            order = [
                index
                for start in range(0, len(order), stretch)
                for index in sorted(order[start : start + stretch], key=self._lengths.__getitem__)
            ]
        made = [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]
        if self._group_by_length:
            made = [made[at] for at in torch.randperm(len(made), generator=draw).tolist()]
        return made
