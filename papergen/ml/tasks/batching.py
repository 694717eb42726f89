"""Rows of unequal length in batches of like length: little padding, and activations that stay in the cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch

BATCH_TOKENS = {"cpu": 512, "cuda": 16384}
"""Tokens of a forward pass, padding included. On a CPU the widest activation of a small model, 512 tokens of 4 x 128
floats, fills a cache of 1 MiB: 512 was the fastest of 256 to 4096 (docs/LOG.md). A GPU wants many more."""


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
