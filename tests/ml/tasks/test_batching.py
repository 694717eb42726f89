"""Batches of like length: every example once an epoch, the same steps for any number of ranks, little padding."""

from __future__ import annotations

from typing import Any

import pytest
import taskslab as lab
import torch

from papergen.ml.tasks.batching import ExampleOrder, batches, padded
from papergen.ml.tasks.encoding import IGNORED
from papergen.ml.tasks.examples import Text
from papergen.ml.tasks.finetuning import output_of
from papergen.ml.tasks.heads import build_head

LENGTHS = [5 + (7 * i * i) % 91 for i in range(1000)]


def order(**changes: Any) -> ExampleOrder:
    given = {"batch_size": 8, "rank": 0, "world_size": 1, "seed": 3, "group_by_length": True, **changes}
    return ExampleOrder(LENGTHS, **given)


@pytest.mark.parametrize("group_by_length", [True, False])
def test_an_epoch_shows_every_example_once_and_the_next_in_another_order(group_by_length: bool) -> None:
    one = order(group_by_length=group_by_length)
    first, second = ([one.at(epoch * 125 + step) for step in range(125)] for epoch in (0, 1))
    assert sorted(index for batch in first for index in batch) == list(range(1000))
    assert first != second
    assert one.at(3) == first[3]  # a step is the same whenever it is asked for
    assert order(group_by_length=group_by_length, seed=4).at(0) != first[0]


def test_ranks_share_the_batch_that_one_rank_sees() -> None:
    ranks = [order(rank=rank, world_size=4) for rank in range(4)]
    for step in (0, 7, 130):
        parts = [one.at(step) for one in ranks]
        assert {len(part) for part in parts} == {2}
        assert sorted(index for part in parts for index in part) == sorted(order().at(step))


def test_batches_of_like_length_pad_less_and_come_in_no_order_of_length() -> None:
    def padding(one: ExampleOrder) -> float:
        shapes = [[LENGTHS[index] for index in one.at(step)] for step in range(125)]
        return 1 - sum(map(sum, shapes)) / sum(max(shape) * len(shape) for shape in shapes)

    assert padding(order(group_by_length=False)) > 0.35
    assert padding(order()) < 0.12
    longest = [max(LENGTHS[index] for index in order().at(step)) for step in range(8)]
    assert longest != sorted(longest)


def test_a_budget_of_tokens_holds_what_fits_when_padded() -> None:
    lengths = [3, 90, 5, 4, 40, 200]
    assert batches(lengths, batch_tokens=100) == [[0, 3, 2], [4], [1], [5]]
    assert batches(lengths, batch_tokens=100, group_by_length=False) == [[0], [1], [2, 3], [4], [5]]
    assert batches(lengths, batch_size=4) == [[0, 3, 2, 4], [1, 5]]
    assert batches([], batch_tokens=10) == []
    assert padded([[1, 2], [3]], 0, width=3, side="left").tolist() == [[0, 1, 2], [0, 0, 3]]


def test_loss_and_gradients_of_masked_words_are_those_of_a_projection_of_all_places() -> None:
    settings = lab.settings_of("masked_lm")
    data = [Text(" ".join(lab.WORDS * count)) for count in (1, 2, 3)]
    encoder = lab.encoder_of(settings, data)
    torch.manual_seed(0)
    model = build_head(settings, encoder.tokenizer, []).model.eval()
    batch = encoder.batch(encoder.encode(data), seed="a")
    whole = model(**batch)
    whole.loss.backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    some = output_of("masked_lm", model, batch, model=model)
    some.loss.backward()
    places = batch["labels"] != IGNORED
    assert some.logits.shape == (1, int(places.sum()), len(encoder.tokenizer))
    assert torch.allclose(some.logits[0], whole.logits[places], atol=1e-6)
    assert torch.allclose(some.loss, whole.loss)
    for name, weight in model.named_parameters():
        if name in expected:
            assert torch.allclose(weight.grad, expected[name], atol=1e-6), name
