"""What two shortcuts of data-parallel training change: averaging the ranks' means, and padding the evaluation.

Ranks are simulated in one process: the gradient of several ranks is the mean of their shards' gradients, bitwise
(`tests/ml/training/test_exactness.py`), so that 64 ranks can be studied on a laptop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from papergen.ml.training.batches import Blocks
from papergen.ml.training.optimizer import negative_log_likelihood


def gradient_bias(model: nn.Module, blocks: Blocks, shards: Sequence[Sequence[int]], *, pad: int) -> float:
    """Relative error (L2 norm) of a step's gradient when each rank averages over its own tokens.

    DDP then gives the mean of the ranks' means, in which a token of a rank with few tokens counts more than another's.
    What is wanted is the mean over all tokens of the step. `shards` holds every rank's block indices.
    """
    of_tokens: torch.Tensor | None = None
    of_ranks: torch.Tensor | None = None
    num_targets = sum(blocks.batch(shard, pad).num_targets for shard in shards)
    device = next(model.parameters()).device
    for shard in shards:
        batch = blocks.batch(shard, pad).to(device)
        model.zero_grad(set_to_none=True)
        negative_log_likelihood(model, batch).backward()  # type: ignore[no-untyped-call]
        gradient = torch.cat([p.grad.double().flatten() for p in model.parameters() if p.grad is not None])
        share, mean = gradient / num_targets, gradient / (batch.num_targets * len(shards))
        of_tokens = share if of_tokens is None else of_tokens + share
        of_ranks = mean if of_ranks is None else of_ranks + mean
    model.zero_grad(set_to_none=True)
    assert of_tokens is not None, "a step has at least one shard"
    assert of_ranks is not None, "a step has at least one shard"
    return float((of_ranks - of_tokens).norm() / of_tokens.norm())


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Each held-out block's summed -log p and its number of target tokens."""

    nats: Sequence[float]
    num_targets: Sequence[int]

    def loss(self) -> float:
        """Mean over the tokens, each counted once."""
        return sum(self.nats) / sum(self.num_targets)

    def padded_loss(self, world_size: int) -> float:
        """The same mean when a DistributedSampler repeats the first blocks until the ranks have equally many."""
        indices = [index for shard in padded_shards(len(self.nats), world_size) for index in shard]
        return sum(self.nats[index] for index in indices) / sum(self.num_targets[index] for index in indices)

    def rank_mean_loss(self, world_size: int) -> float:
        """What is reported when every rank averages over its own padded share and the ranks' means are averaged."""
        means = [
            sum(self.nats[index] for index in shard) / sum(self.num_targets[index] for index in shard)
            for shard in padded_shards(len(self.nats), world_size)
        ]
        return sum(means) / len(means)


def padded_shards(num_blocks: int, world_size: int) -> list[list[int]]:
    """The indices that torch's DistributedSampler (shuffle=False, drop_last=False) gives each rank."""
    total = -(-num_blocks // world_size) * world_size
    indices = [index % num_blocks for index in range(total)]
    return [indices[rank::world_size] for rank in range(world_size)]


def scores(model: nn.Module, blocks: Blocks) -> Scores:
    """Score every block by itself, without padding."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.no_grad():
        batches = (blocks.batch([index], pad=0).to(device) for index in range(len(blocks)))
        nats = [float(negative_log_likelihood(model, batch)) for batch in batches]
    model.train(was_training)
    return Scores(nats=nats, num_targets=[len(block) - 1 for block in blocks.blocks])
