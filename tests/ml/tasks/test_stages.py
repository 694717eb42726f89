"""Stages over batches of like length; logits only where they are asked for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pipelinelab import TEXTS, model_of, tokenizer

from papergen.ml.tasks.agreement import TOLERANCE, largest_difference
from papergen.ml.tasks.heads import logits_at
from papergen.ml.tasks.linear import packed
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.stage_timing import run_stages
from papergen.ml.tasks.stages import Options, softmax


def test_grouping_by_length_pads_less_and_keeps_the_order_of_the_inputs() -> None:
    words, model = tokenizer(), model_of("text-classification")
    stages = stages_of("text-classification", model, words, Options(max_length=32))
    texts = ["red green blue nine eight seven red green", "seven", "blue nine red eight green seven blue", "green"]
    grouped, as_given = (
        run_stages(stages, texts, batch_size=2, device="cpu", group_by_length=choice) for choice in (True, False)
    )
    assert grouped.padding < as_given.padding
    assert largest_difference(grouped.results, as_given.results) < TOLERANCE
    assert largest_difference(grouped.results, as_given.results[::-1]) > TOLERANCE


def test_rows_that_fill_a_budget_of_tokens_give_the_same_results_in_fewer_passes() -> None:
    words, model = tokenizer(), model_of("text-classification")
    stages = stages_of("text-classification", model, words, Options(max_length=32))
    one, few, all_ = (run_stages(stages, TEXTS, batch_tokens=most, device="cpu") for most in (1, 20, 512))
    assert one.num_batches == len(TEXTS)
    assert 1 < few.num_batches < len(TEXTS)
    assert all_.num_batches == 1
    assert one.padding == 0 < few.padding < all_.padding
    assert largest_difference(one.results, few.results) < TOLERANCE
    assert largest_difference(one.results, all_.results) < TOLERANCE


@pytest.mark.parametrize("make", [lambda model: model, packed])
def test_logits_at_some_places_are_those_of_all_places_there(make: Any) -> None:
    model = make(model_of("fill-mask"))
    ids = torch.randint(5, 30, (3, 7))
    places = torch.zeros(3, 7, dtype=torch.bool)
    places[0, 2] = places[0, 5] = places[2, 1] = True
    with torch.inference_mode():
        whole = model(ids).logits
        with logits_at(model, places):
            some = model(ids).logits
        assert torch.allclose(some[0], whole[places], atol=1e-5)
        assert model(ids).logits.shape == whole.shape


def test_softmax_is_the_textbooks_and_does_not_overflow() -> None:
    assert softmax(torch.tensor([[0.0, math.log(3.0)]])).tolist()[0] == pytest.approx([0.25, 0.75])
    assert softmax(torch.tensor([[1000.0, 1000.0]])).tolist() == [[0.5, 0.5]]
