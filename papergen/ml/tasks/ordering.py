"""Which examples a rank sees at a step: a function of (seed, epoch, step); the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

WINDOW = 8
"""Batches whose examples are sorted by length together: enough that little is padded, and batches stay random."""


class Order:
    """Indices of a shuffled epoch in batches; with `group_by_length` examples of like length share a batch.

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
