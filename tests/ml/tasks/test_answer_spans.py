"""Answers of question answering, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from papergen.ml.tasks.answer_spans import best_answer


def window(starts: list[float], ends: list[float], offsets: list[Any]) -> Any:
    return torch.log(torch.tensor(starts)), torch.log(torch.tensor(ends)), offsets


CONTEXT = "red green-blue nine"
PLACES = [None, (0, 3), (4, 9), (10, 14), (15, 19)]


def test_an_answer_in_chinese_is_not_widened_to_the_whole_sentence() -> None:
    context = "他生于1998年，在北京大学读书。"
    places = [(0, 1), (3, 5), (10, 12), (12, 14)]
    at_university = window([0.1, 0.1, 0.1, 0.6, 0.1], [0.1, 0.1, 0.1, 0.1, 0.6], [None, *places])
    assert best_answer([at_university], context).text == "北京大学"
    in_number = window([0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [None, *places])
    assert best_answer([in_number], context).text == "1998"


def test_an_answers_score_is_the_product_of_its_ends_and_it_takes_whole_words() -> None:
    found = best_answer([window([0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.5, 0.2, 0.1], PLACES)], CONTEXT)
    assert found.score == pytest.approx(0.3)
    assert (found.start, found.end, found.text) == (4, 14, "green-blue")


def test_an_answer_goes_forward_and_is_no_longer_than_the_limit() -> None:
    backwards = window([0.1, 0.1, 0.1, 0.1, 0.6], [0.1, 0.6, 0.1, 0.1, 0.1], PLACES)
    found = best_answer([backwards], CONTEXT)
    assert found.text in {"nine", "red"}
    assert found.score == pytest.approx(0.06)
    far = window([0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 0.6], PLACES)
    assert best_answer([far], CONTEXT).text == CONTEXT
    assert best_answer([far], CONTEXT, max_answer_length=2).text != CONTEXT


def test_no_answer_is_an_answer_only_when_asked_for_and_when_every_window_says_so() -> None:
    nothing = window([0.8, 0.05, 0.05, 0.05, 0.05], [0.8, 0.05, 0.05, 0.05, 0.05], PLACES)
    assert best_answer([nothing], CONTEXT).text != ""
    found = best_answer([nothing], CONTEXT, handle_impossible_answer=True)
    assert (found.text, found.start, found.end) == ("", 0, 0)
    assert found.score == pytest.approx(0.64)
    something = window([0.1, 0.1, 0.1, 0.1, 0.6], [0.1, 0.1, 0.1, 0.1, 0.6], PLACES)
    assert best_answer([nothing, something], CONTEXT, handle_impossible_answer=True).text == "nine"


def test_tokens_outside_the_context_take_no_probability() -> None:
    found = best_answer([window([0.4, 0.2, 0.4], [0.4, 0.2, 0.4], [None, None, (0, 3)])], "red")
    assert found.score == pytest.approx(0.25)  # 0.5 x 0.5: the question's token is masked before the softmax
