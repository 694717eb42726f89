"""The stages give what transformers' own pipelines give; question answering what the former one gave, by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import taskslab as lab
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    GPT2Config,
)

from papergen.core.errors import PapergenError
from papergen.ml.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
from papergen.ml.tasks.answer_spans import best_answer
from papergen.ml.tasks.heads import logits_at
from papergen.ml.tasks.linear import PackedLinear, is_usable, packed
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.stage_timing import NAMES, run_stages
from papergen.ml.tasks.stages import Asked, Options, softmax

TEXTS = ["red green blue", "seven", "nine eight red seven green blue blue red", "green nine"]
LABELS = {"text-classification": ["a", "b", "c"], "zero-shot-classification": ["entailment", "other"]}
LABELS["token-classification"] = ["O", "B-X", "I-X", "B-Y"]


def tokenizer() -> Any:
    return lab.encoder_of(lab.settings_of("masked_lm"), lab.examples("masked_lm")).tokenizer


def model_of(task: str) -> Any:
    torch.manual_seed(1)
    classes = {
        "text-classification": AutoModelForSequenceClassification,
        "zero-shot-classification": AutoModelForSequenceClassification,
        "token-classification": AutoModelForTokenClassification,
        "fill-mask": AutoModelForMaskedLM,
        "feature-extraction": AutoModel,
        "question-answering": AutoModelForQuestionAnswering,
        "text-generation": AutoModelForCausalLM,
    }
    labels = LABELS.get(task, ["x", "y"])
    maps = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    size = len(tokenizer())
    if task == "text-generation":
        config: Any = GPT2Config(vocab_size=size, n_embd=16, n_layer=1, n_head=2, n_positions=64, eos_token_id=3)
    else:
        config = BertConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            initializer_range=0.6,
            **maps,
        )
    return classes[task].from_config(config).eval()


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


def test_a_packed_model_computes_the_same_shares_all_other_weights_and_leaves_the_model_alone() -> None:
    model = model_of("text-classification")
    twin = packed(model)
    if twin is model:
        pytest.skip("torch has no oneDNN here")
    ids = torch.randint(5, 30, (3, 7))
    with torch.inference_mode():
        mine, its = model(ids).logits, twin(ids).logits
    assert torch.allclose(mine, its, atol=1e-5)
    assert not any(isinstance(part, PackedLinear) for part in model.modules())
    assert not any(type(part) is torch.nn.Linear for part in twin.modules())
    assert twin.get_input_embeddings().weight is model.get_input_embeddings().weight
    assert packed(model.double()).get_input_embeddings().weight.dtype == torch.float64
    assert not any(isinstance(part, PackedLinear) for part in packed(model).modules())


def absent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch.ops, "mkldnn", SimpleNamespace())


def with_another_signature(patch: pytest.MonkeyPatch) -> None:
    def pointwise(states: Any, weight: Any) -> Any:
        del states, weight

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=pointwise, _reorder_linear_weight=lambda w: w))


def refused(patch: pytest.MonkeyPatch) -> None:
    def reorder(_: Any) -> Any:
        raise NotImplementedError("Could not run 'mkldnn::_reorder_linear_weight' with arguments from this backend")

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_reorder_linear_weight=reorder))


def with_other_results(patch: pytest.MonkeyPatch) -> None:
    def pointwise(states: Any, weight: Any, *_: Any) -> Any:
        return torch.zeros(*states.shape[:-1], weight.shape[0])

    patch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=pointwise, _reorder_linear_weight=lambda w: w))


@pytest.mark.parametrize("change", [absent, with_another_signature, refused, with_other_results])
def test_a_torch_with_another_private_operator_runs_the_model_as_it_is(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, words = model_of("text-classification"), tokenizer()
    theirs = call_pipeline(
        pipeline_of("text-classification", model, words), "text-classification", TEXTS, Options(max_length=32)
    )
    state = torch.random.get_rng_state()
    change(monkeypatch)
    assert not is_usable()
    assert packed(model) is model
    stages = stages_of("text-classification", model, words, Options(max_length=32))
    assert largest_difference(run_stages(stages, TEXTS, batch_size=2, device="cpu").results, theirs) < TOLERANCE
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
def test_this_torchs_private_operator_is_the_one_we_know() -> None:
    assert is_usable()


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


def test_a_difference_in_words_is_infinite_and_one_in_numbers_is_its_size() -> None:
    assert largest_difference([{"a": 1.0, "b": "x"}], [{"a": 1.25, "b": "x"}]) == 0.25
    assert largest_difference([{"a": "x"}], [{"a": "y"}]) == math.inf
    assert largest_difference([[1.0]], [[1.0, 2.0]]) == math.inf


def test_softmax_is_the_textbooks_and_does_not_overflow() -> None:
    assert softmax(torch.tensor([[0.0, math.log(3.0)]])).tolist()[0] == pytest.approx([0.25, 0.75])
    assert softmax(torch.tensor([[1000.0, 1000.0]])).tolist() == [[0.5, 0.5]]


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
