"""The pipelines give what transformers' own give; question answering what the former one gave, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import taskslab as lab
import torch
from pipelinelab import TEXTS, model_of, tokenizer
from transformers import (
    AutoModelForSequenceClassification,
)

from papergen.core.errors import PapergenError
from papergen.ml.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
from papergen.ml.tasks.linear import PackedLinear
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.stage_timing import NAMES, run_stages
from papergen.ml.tasks.stages import Asked, Options, softmax


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("padding", ["longest", "max_length"])
@pytest.mark.parametrize(
    "task",
    [
        "text-classification",
        "zero-shot-classification",
        "token-classification",
        "fill-mask",
        "text-generation",
        "feature-extraction",
    ],
)
def test_the_stages_agree_with_the_librarys_own_pipeline(task: str, padding: str, batch_size: int) -> None:
    words, model = tokenizer(), model_of(task)
    options = Options(max_length=32, padding=padding, candidate_labels=("red", "blue green"), max_new_tokens=5, top_k=3)
    texts = [f"{text} {words.mask_token}" for text in TEXTS] if task == "fill-mask" else TEXTS
    assert any(isinstance(part, PackedLinear) for part in stages_of(task, model, words, options).model.modules()) == (
        torch.backends.mkldnn.is_available()
    )
    measured = run_stages(stages_of(task, model, words, options), texts, batch_size=batch_size, device="cpu")
    theirs = call_pipeline(pipeline_of(task, model, words), task, texts, options)
    assert len(measured.results) == len(texts)
    assert largest_difference(measured.results, theirs) < TOLERANCE
    assert all(measured.seconds[name] > 0 for name in NAMES)
    if padding == "max_length":
        assert measured.padding > 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"problem_type": "multi_label_classification"}, torch.sigmoid),
        ({"problem_type": "regression"}, lambda logits: logits),
        ({"problem_type": "single_label_classification"}, softmax),
    ],
)
def test_classes_are_scored_as_the_models_problem_asks_for(changes: dict[str, str], expected: Any) -> None:
    words, model = tokenizer(), model_of("text-classification")
    for name, value in changes.items():
        setattr(model.config, name, value)
    options = Options(max_length=32)
    measured = run_stages(stages_of("text-classification", model, words, options), TEXTS, device="cpu").results
    theirs = call_pipeline(pipeline_of("text-classification", model, words), "text-classification", TEXTS, options)
    assert largest_difference(measured, theirs) < TOLERANCE
    with torch.inference_mode():
        logits = model(**words(TEXTS[0], return_tensors="pt")).logits
    assert sorted(one["score"] for one in measured[0]) == pytest.approx(sorted(expected(logits)[0].tolist()), abs=1e-5)


def test_a_single_output_is_a_probability_of_its_own() -> None:
    model = AutoModelForSequenceClassification.from_config(model_of("text-classification").config)
    model.config.num_labels = 1
    model.classifier = torch.nn.Linear(16, 1)
    words, options = tokenizer(), Options(max_length=32)
    measured = run_stages(stages_of("text-classification", model.eval(), words, options), TEXTS, device="cpu").results
    theirs = call_pipeline(pipeline_of("text-classification", model, words), "text-classification", TEXTS, options)
    assert largest_difference(measured, theirs) < TOLERANCE
    assert 0 < measured[0][0]["score"] < 1


def test_a_single_label_is_judged_against_contradiction() -> None:
    words, model = tokenizer(), model_of("zero-shot-classification")
    options = Options(max_length=32, candidate_labels=("red",))
    task = "zero-shot-classification"
    measured = run_stages(stages_of(task, model, words, options), TEXTS, device="cpu").results
    assert largest_difference(measured, call_pipeline(pipeline_of(task, model, words), task, TEXTS, options)) < 1e-4
    assert 0 < measured[0]["scores"][0] < 1


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        ("token-classification", ["red 蓝 green Ω Ω blue", "蓝"]),  # words that the vocabulary does not know
        ("token-classification", [" ".join(lab.WORDS * 6)]),  # longer than max_length
        ("zero-shot-classification", [" ".join(lab.WORDS * 6)]),
        ("text-generation", [" ".join(lab.WORDS * 6)]),
        ("zero-shot-classification", ["蓝"]),  # labels of equal scores
    ],
)
def test_unknown_words_and_long_texts_agree_with_the_librarys_own_pipeline(task: str, texts: list[str]) -> None:
    words, model = tokenizer(), model_of(task)
    options = Options(max_length=24, candidate_labels=("黄", "绿"), max_new_tokens=4)
    measured = run_stages(stages_of(task, model, words, options), texts, device="cpu").results
    theirs = call_pipeline(pipeline_of(task, model, words), task, texts, options)
    assert largest_difference(measured, theirs) < TOLERANCE
    assert words.model_max_length == 32  # as it was


def test_candidates_of_equal_scores_may_stand_in_any_order_and_others_may_not() -> None:
    a, b = {"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}
    assert largest_difference([[a, b]], [[b, a]]) == 0
    assert largest_difference([[a, {"label": "c", "score": 0.5}]], [[a, b]]) == math.inf
    sure, unsure = ([{"label": "a", "score": score}, {"label": "b", "score": 1 - score}] for score in (0.1, 0.9))
    assert largest_difference([sure], [unsure]) == pytest.approx(0.8)
    one, two = {"labels": ["a", "b"], "scores": [0.6, 0.4]}, {"labels": ["b", "a"], "scores": [0.4, 0.6]}
    assert largest_difference([one], [two]) == 0
    # At the cut a token may stand for another of the same score, and for no other.
    cut = [{"token": 1, "score": 0.4}, {"token": 2, "score": 0.2}]
    assert largest_difference([cut], [[{"token": 1, "score": 0.4}, {"token": 3, "score": 0.2}]]) == 0
    assert largest_difference([cut], [[{"token": 1, "score": 0.2}, {"token": 3, "score": 0.4}]]) == pytest.approx(0.2)


def test_a_pair_of_a_long_text_and_a_label_is_cut_as_the_tokenizer_cuts_it() -> None:
    words, model = tokenizer(), model_of("zero-shot-classification")
    options = Options(max_length=12, candidate_labels=("red", "blue green"))
    long = " ".join(lab.WORDS * 4)
    encoded = stages_of("zero-shot-classification", model, words, options).tokenize([long, "red"])
    pairs = [(text, f"This example is {label}.") for text in (long, "red") for label in options.candidate_labels]
    expected = words([a for a, _ in pairs], [b for _, b in pairs], truncation="only_first", max_length=12)
    assert {name: list(rows) for name, rows in encoded.inputs.items()} == {
        name: expected[name] for name in ("input_ids", "token_type_ids")
    }
    assert list(encoded.owners) == [0, 0, 1, 1]


def test_a_difference_in_words_is_infinite_and_one_in_numbers_is_its_size() -> None:
    assert largest_difference([{"a": 1.0, "b": "x"}], [{"a": 1.25, "b": "x"}]) == 0.25
    assert largest_difference([{"a": "x"}], [{"a": "y"}]) == math.inf
    assert largest_difference([[1.0]], [[1.0, 2.0]]) == math.inf


def test_an_answer_in_the_last_window_of_a_long_context_is_found_at_its_place() -> None:
    words = tokenizer()
    context = " ".join(lab.WORDS[index % 6] for index in range(80))

    class Pointer(torch.nn.Module):
        """Points at the last token of the context in each row."""

        device = torch.device("cpu")

        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            logits = torch.zeros(input_ids.shape)
            for row, ids in enumerate(input_ids):
                last = int((ids == words.sep_token_id).nonzero()[-1]) - 1
                is_end = int(input_ids[row, last]) == int(words(lab.WORDS[79 % 6])["input_ids"][1])
                logits[row, last] = 9.0 if is_end and row == len(input_ids) - 1 else 1.0
            return type("Output", (), {"start_logits": logits, "end_logits": logits})()

    stages = stages_of("question-answering", Pointer(), words, Options(max_length=32, doc_stride=8))
    (found,) = run_stages(
        stages, [Asked("which word is last?", context)], batch_size=99, group_by_length=False, device="cpu"
    ).results
    assert found["end"] == len(context)
    assert found["answer"] == context[found["start"] : found["end"]] == lab.WORDS[79 % 6]


@pytest.mark.parametrize(
    ("task", "texts", "message"),
    [
        ("fill-mask", ["red blue"], "must hold [MASK] exactly once"),
        ("zero-shot-classification", ["red"], "candidate_labels is missing"),
    ],
)
def test_what_a_pipeline_cannot_do_is_refused(task: str, texts: list[str], message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        run_stages(stages_of(task, model_of(task), tokenizer(), Options()), texts, batch_size=1, device="cpu")
    assert message in str(caught.value)


def test_a_model_without_an_entailment_class_cannot_choose_among_labels() -> None:
    with pytest.raises(PapergenError, match="needs a model with an entailment class"):
        stages_of("zero-shot-classification", model_of("text-classification"), tokenizer(), Options())
