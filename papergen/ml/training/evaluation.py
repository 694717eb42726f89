"""Validation without padding or double counting: each held-out token is scored once at any world size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from papergen.ml.distributed import Ranks
from papergen.ml.training.batches import Blocks
from papergen.ml.training.optimizer import autocast, negative_log_likelihood


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How well the held-out text is predicted."""

    nats: float
    """Sum of -log p over the held-out tokens."""
    num_tokens: int
    num_characters: int

    @property
    def loss(self) -> float:
        """Mean negative log-likelihood per token, in nats."""
        return self.nats / self.num_tokens

    @property
    def perplexity(self) -> float:
        """exp(loss); comparable between models of one tokenizer only."""
        return math.exp(min(self.loss, 700.0))

    @property
    def bits_per_character(self) -> float:
        """Bits for the whole held-out text, its ends included, per character; comparable over tokenizers."""
        return self.nats / math.log(2) / self.num_characters


def evaluate(
    model: nn.Module, blocks: Blocks, *, num_characters: int, batch_size: int, dtype: str, ranks: Ranks
) -> Evaluation:
    """Score all `blocks`; rank r takes every world_size-th one, and sums and counts are added over the ranks.

    torch's DistributedSampler would repeat blocks to even out the ranks and count them twice.
    """
    # A sharded model gathers its weights in forward: every rank must then call it equally often.
    is_collective = isinstance(model, FSDPModule)
    groups = _groups(blocks, batch_size, ranks)
    num_calls = max(len(_groups(blocks, batch_size, ranks, of=other)) for other in range(ranks.world_size))
    totals = torch.zeros(2, dtype=torch.float64, device=ranks.device)
    was_training = model.training
    model.eval()
    with torch.no_grad(), autocast(dtype, ranks.device):
        for call in range(num_calls if is_collective else len(groups)):
            batch = blocks.batch(groups[call] if call < len(groups) else [0], pad=0)
            nats = negative_log_likelihood(model, batch.to(ranks.device))
            if call < len(groups):
                totals[0] += nats
                totals[1] += batch.num_targets
    model.train(was_training)
    nats, count = ranks.sum(totals).tolist()
    assert int(count) == blocks.num_targets, "evaluation must score each held-out token exactly once"
    return Evaluation(nats=nats, num_tokens=int(count), num_characters=num_characters)


def _groups(blocks: Blocks, batch_size: int, ranks: Ranks, of: int | None = None) -> list[list[int]]:
    """Batches of block indices of one rank, blocks of one length each, so that nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for index in range(ranks.rank if of is None else of, len(blocks), ranks.world_size):
        by_length.setdefault(len(blocks[index]), []).append(index)
    return [
        chosen[start : start + batch_size]
        for chosen in by_length.values()
        for start in range(0, len(chosen), batch_size)
    ]
