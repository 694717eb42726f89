"""The biases of two shortcuts, against what torch's sampler and DDP really do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.data import DistributedSampler

from papergen.ml.training.batches import Blocks
from papergen.ml.training.biases import Scores, gradient_bias, padded_shards


class Table(nn.Module):
    """A bigram model: logits are a row of a table."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Parameter(torch.randn(5, 5, dtype=torch.float64))

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Iterator[torch.Tensor]:
        return type("Output", (), {"logits": self.table[input_ids]})()  # type: ignore[return-value]


def blocks(*lengths: int) -> Blocks:
    made = Blocks((), 8)
    generator = torch.Generator().manual_seed(1)
    made.blocks = [torch.randint(5, (length + 1,), generator=generator) for length in lengths]
    return made


@pytest.mark.parametrize(("num_blocks", "world_size"), [(5, 2), (8, 4), (3, 8), (7, 1)])
def test_padding_is_that_of_the_distributed_sampler(num_blocks: int, world_size: int) -> None:
    data = [0] * num_blocks
    real = [
        list(DistributedSampler(data, num_replicas=world_size, rank=rank, shuffle=False))  # type: ignore[arg-type]
        for rank in range(world_size)
    ]
    assert padded_shards(num_blocks, world_size) == real


def test_even_shards_have_no_bias_and_uneven_ones_have() -> None:
    assert gradient_bias(Table(), blocks(6, 6, 6, 6), [[0, 1], [2, 3]], pad=0) < 1e-12
    assert gradient_bias(Table(), blocks(1, 2, 8, 8), [[0, 1], [2, 3]], pad=0) > 0.05


def test_the_gradient_of_the_token_mean_is_that_of_the_whole_batch() -> None:
    # One rank: the mean of the ranks' means is the mean over the tokens, whatever the lengths.
    assert gradient_bias(Table(), blocks(1, 2, 8, 8), [[0, 1, 2, 3]], pad=0) < 1e-12


def test_a_padded_evaluation_counts_the_first_blocks_twice() -> None:
    scored = Scores(nats=[4.0, 1.0, 1.0], num_targets=[2, 1, 1])
    assert scored.loss() == 1.5
    assert scored.padded_loss(2) == pytest.approx(10 / 6)
    assert scored.rank_mean_loss(2) == pytest.approx(((4 + 1) / 3 + (1 + 4) / 3) / 2)
    assert scored.padded_loss(3) == scored.loss()
