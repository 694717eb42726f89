"""A trial's measurements: what is defined, what is left out, what agrees with its units."""

from __future__ import annotations

import math

import pytest

from papergen.ml.decoding.measure import Continuation, measure, repetition_by_position
from papergen.ml.decoding.scoring import Score


def continuation(prompt: int, *ids: int, is_ended: bool = False) -> Continuation:
    return Continuation(prompt_index=prompt, ids=ids, is_ended=is_ended)


def test_means_run_over_prompts_and_agree_with_their_units() -> None:
    texts = [continuation(0, 1, 2, 1, 2), continuation(0, 1, 2, 3, 4), continuation(1, 5, 6, 7, 8, is_ended=True)]
    scores = [Score.of((-1.0,) * 4), Score.of((-2.0,) * 4), Score.of((-3.0,) * 4)]
    found = measure(texts, scores)
    assert found.units["rep_2"] == pytest.approx([(100 / 3 + 0) / 2, 0])
    assert found.metrics["rep_2"] == pytest.approx(100 / 12)
    assert found.units["nll"] == pytest.approx([1.5, 3.0])
    assert found.metrics["perplexity"] == pytest.approx(math.exp(2.0))
    assert found.units["eos_rate"] == [0.0, 100.0]
    assert found.metrics["truncation_rate"] == 50.0
    assert found.metrics["length"] == 4.0
    assert found.metrics["duplicates"] == 0.0


def test_what_is_defined_for_no_text_is_left_out() -> None:
    found = measure([continuation(0, 3, 3), continuation(1, 3, 3)], [Score.of((-1.0, -1.0))] * 2)
    assert "zipf" not in found.metrics  # one distinct token has no slope
    assert "rep_4" not in found.metrics
    assert "rep_4" not in found.units
    assert found.metrics["rep_2"] == 0.0


def test_a_prompt_without_a_value_is_not_averaged() -> None:
    found = measure([continuation(0, 1, 2), continuation(1, 1)], [Score.of((-1.0, -1.0)), Score.of((-1.0,))])
    assert math.isnan(found.units["rep_2"][1])
    assert found.metrics["rep_2"] == found.units["rep_2"][0] == 0.0


def test_repetition_by_position() -> None:
    assert repetition_by_position([[1, 1, 2], [1, 2]]) == [(1, 0.0), (2, 50.0), (3, 0.0)]


def test_drafts_by_hand():
    """Two of four guesses and none of none; tokens by passes, where the final EOS is a token that a pass has found."""
    texts = [
        Continuation(prompt_index=0, ids=(5, 6, 7), is_ended=True, num_drafted=4, num_accepted=2, num_passes=2),
        Continuation(prompt_index=1, ids=(5, 6), is_ended=False, num_drafted=0, num_accepted=0, num_passes=2),
    ]
    found = measure(texts, [Score.of((-1.0,) * 4), Score.of((-1.0,) * 2)])
    assert found.metrics["acceptance_rate"] == 50.0
    assert math.isnan(found.units["acceptance_rate"][1])
    assert found.units["tokens_per_pass"] == [2.0, 1.0]
    assert "acceptance_rate" not in measure([continuation(0, 3, 3)], [Score.of((-1.0,) * 2)]).metrics
