"""Model folders that an author brings: of every head, of the wrong one, without what is needed; in a Chinese path."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import taskslab as lab
import torch
import transformers
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from tokenizers import ByteLevelBPETokenizer

from papergen.core.errors import PapergenError
from papergen.ml.model_names import is_hub_id
from papergen.ml.tasks.heads import load_head, load_tokenizer
from papergen.ml.tasks.pipeline_inputs import load_for
from papergen.ml.tasks.pipeline_settings import PipelineSettings
from papergen.ml.tasks.pipeline_trial import measure_pipeline

WORDS = lab.encoder_of(lab.settings_of("masked_lm"), lab.examples("masked_lm")).tokenizer
BERT = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "initializer_range": 0.5,
}
SEQ2SEQ = {"vocab_size": len(WORDS), "pad_token_id": 0, "eos_token_id": 3, "decoder_start_token_id": 0}


def byte_words(**special: str) -> Any:
    """A tokenizer of bytes with the special tokens given, and no other."""
    learnt = ByteLevelBPETokenizer()
    learnt.train_from_iterator([" ".join(lab.WORDS)], vocab_size=300, special_tokens=["<end>"], show_progress=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=learnt._tokenizer, model_max_length=40, **special)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "模型 一"


def saved(folder: Path, name: str, *, words: Any = WORDS, **changes: Any) -> Path:
    """A small random model of the class `name`, with its tokenizer."""
    torch.manual_seed(0)
    made = getattr(transformers, name)
    sizes: dict[str, Any] = dict(BERT)
    if name.startswith("GPT2"):
        sizes = {"vocab_size": len(words), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40}
    if name.startswith("T5"):
        sizes = {**SEQ2SEQ, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    made(made.config_class(**{**sizes, **changes})).eval().save_pretrained(folder)
    if words is not None:
        words.save_pretrained(folder)
    return folder


def measure(task: str, source: Path, **changes: Any) -> Any:
    given = {"texts": ["red green", "blue seven eight"], "max_length": 32, "num_rounds": 2, "max_new_tokens": 3}
    if task == "question-answering":
        given |= {"texts": [], "num_inputs": 2, "max_length": 40, "doc_stride": 4}
    settings = PipelineSettings.model_validate({"task": task, "model": str(source), **given, **changes})
    return measure_pipeline(settings, source, device="cpu", progress=lambda *_: None)


def names(*labels: str) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}


@pytest.mark.parametrize(
    ("task", "name", "changes"),
    [
        ("text-classification", "BertForSequenceClassification", names("正", "负", "中")),
        ("text-classification", "GPT2ForSequenceClassification", {"words": byte_words(eos_token="<end>")}),
        ("token-classification", "BertForTokenClassification", names("O", "B-人", "I-人")),
        ("fill-mask", "BertForMaskedLM", {}),
        ("text-generation", "GPT2LMHeadModel", {"words": byte_words(eos_token="<end>")}),
        ("feature-extraction", "BertModel", {}),
        ("feature-extraction", "BertForSequenceClassification", {}),
        ("zero-shot-classification", "BertForSequenceClassification", names("contradiction", "neutral", "entailment")),
    ],
)
def test_a_folder_with_the_right_head_is_measured(task: str, name: str, changes: dict[str, Any], folder: Path) -> None:
    extra: dict[str, Any] = {"candidate_labels": ["red", "blue"]} if task.startswith("zero-shot") else {}
    if task == "fill-mask":
        extra = {"texts": ["red [MASK]", "[MASK] seven eight"]}
    done = measure(task, saved(folder, name, **changes), **extra)
    assert done.metrics["largest_difference"] < 1e-4
    assert len(done.rounds["total_ms"]) == 2


@pytest.mark.parametrize(
    ("task", "name", "changes", "message"),
    [
        ("text-classification", "BertForTokenClassification", {}, "It was saved as BertForTokenClassification."),
        ("token-classification", "BertForSequenceClassification", {}, "It was saved as BertForSequenceClassification."),
        ("text-classification", "BertModel", {}, "no trained weights for text-classification: classifier.bias"),
        ("text-generation", "T5ForConditionalGeneration", {}, "has no AutoModelForCausalLM of T5."),
        ("feature-extraction", "T5ForConditionalGeneration", {}, "is a T5 model"),
        ("fill-mask", "BertForMaskedLM", {"words": byte_words(eos_token="<end>")}, "has no mask token"),
        ("text-generation", "GPT2LMHeadModel", {"words": byte_words()}, "has no pad_token, and no eos_token or unk"),
        ("text-classification", "BertForSequenceClassification", {"words": None}, "its tokenizer knows no word"),
        ("text-classification", "BertForSequenceClassification", {"vocab_size": 7}, "and the model knows 7 tokens"),
        (
            "text-classification",
            "BertForSequenceClassification",
            {"max_position_embeddings": 16},
            "max_length = 32 is more than the 16 positions of",
        ),
        (
            "text-classification",
            "RobertaForSequenceClassification",
            {"max_position_embeddings": 33, "pad_token_id": 1},
            "max_length = 32 is more than the 31 positions of",
        ),
    ],
)
def test_a_folder_that_cannot_serve_is_refused_in_a_sentence(
    task: str, name: str, changes: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(PapergenError) as caught:
        measure(task, saved(folder, name, **changes))
    assert message in str(caught.value)


def test_a_config_that_does_not_name_its_classes_is_told_with_the_shapes(folder: Path) -> None:
    saved(folder, "BertForSequenceClassification", num_labels=3)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("id2label", None)
    config.pop("label2id", None)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PapergenError, match=r"classifier.bias is \(3,\), by config.json \(2,\).*\n.*id2label"):
        measure("text-classification", folder)


def test_damaged_weights_are_told(folder: Path) -> None:
    weights = saved(folder, "BertForSequenceClassification") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(PapergenError, match="damaged or incomplete"):
        measure("text-classification", folder)


def test_a_question_that_leaves_its_context_no_room_is_told(folder: Path) -> None:
    saved(folder, "BertForQuestionAnswering", max_position_embeddings=80)
    with pytest.raises(PapergenError, match="leaves its context") as caught:
        measure("question-answering", folder, doc_stride=32)
    assert "or more, or a smaller doc_stride" in str(caught.value)
    assert measure("question-answering", folder, max_length=80, doc_stride=4).metrics["total_ms"] > 0


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        ("sequence_classification", "GPT2LMHeadModel", byte_words(eos_token="<end>")),
        ("sequence_classification", "T5ForConditionalGeneration", WORDS),
        ("token_classification", "BertForSequenceClassification", WORDS),
        ("feature_extraction", "T5ForConditionalGeneration", WORDS),
        ("feature_extraction", "GPT2LMHeadModel", byte_words(eos_token="<end>")),
        ("multiple_choice", "BertModel", WORDS),
    ],
)
def test_a_head_is_put_on_a_folders_backbone(
    task: str, name: str, words: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tuple(lab.examples(task, 24)), tuple(lab.examples(task, 8))
    monkeypatch.setattr("papergen.ml.tasks.task_trial.embedded", lambda _: parts)
    source = saved(folder, name, words=words)
    own = {"task": task, "model": str(source), "max_length": 32, "doc_stride": 8, "batch_size": 4}
    done = lab.run_alone(lab.TaskSettings.model_validate({**own, "num_train_epochs": 1}), tmp_path, source=source)
    assert done.facts["reload_difference"] == 0
    assert len(done.samples) == 8


def test_a_model_for_several_labels_at_a_time_is_tuned_for_one(folder: Path) -> None:
    saved(folder, "BertForSequenceClassification", problem_type="multi_label_classification")
    settings = lab.settings_of("sequence_classification")
    small = settings.model_copy(update={"model": str(folder)})
    assert load_head(small, folder, ["a", "b"]).model.config.problem_type == "single_label_classification"


def test_padding_is_a_token_that_the_tokenizer_has(folder: Path) -> None:
    saved(folder, "GPT2LMHeadModel", words=byte_words(unk_token="<end>"))
    assert load_tokenizer(folder).pad_token == "<end>"
    shutil.rmtree(folder)
    saved(folder, "GPT2LMHeadModel", words=byte_words(eos_token="<end>"))
    model, words = load_for("text-generation", folder, device="cpu", max_length=32)
    assert model.config.pad_token_id == words.pad_token_id is not None


@pytest.mark.parametrize(
    ("name", "can_be"),
    [
        ("openai-community/gpt2", True),
        ("gpt2", True),
        ("bert-base-chinese", True),
        ("models/mine", True),  # nobody can tell; a folder of that name is taken first
        ("模型 们/没有", False),
        ("my models/x", False),
        ("./x", False),
        ("~/x", False),
        ("/x", False),
        ("a/b/c", False),
        ("a//b", False),
        ("", False),
        ("x" * 97, False),
    ],
)
def test_a_name_that_the_hub_does_not_allow_is_a_path(name: str, can_be: bool) -> None:
    assert is_hub_id(name) == can_be
    with contextlib.nullcontext() if can_be else pytest.raises(HFValidationError):
        validate_repo_id(name)
