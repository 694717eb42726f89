"""Models and inputs for the pipelines: loaded with every weight found, and test examples in the form that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from papergen.core.errors import PapergenError
from papergen.ml.models import load_weights
from papergen.ml.tasks.compatibility import fit
from papergen.ml.tasks.embedded import embedded
from papergen.ml.tasks.examples import Labelled, Question, Tagged, Text
from papergen.ml.tasks.heads import load_tokenizer
from papergen.ml.tasks.stages import AUTO, Asked

PROMPT_TOKENS = 24
"""Most tokens of a prompt: room is left for what is generated."""


OTHER_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
"""Heads whose layers have the same names in some models, so that one would be taken for the other."""


def load_for(task: str, source: str | Path, *, device: str, max_length: int) -> tuple[Any, Any]:
    """Model and tokenizer for a pipeline, in evaluation mode on the device.

    PapergenError when a weight is missing or the head is another task's: the answers would mean nothing; and when the
    model has fewer than `max_length` positions.
    """
    tokenizer = load_tokenizer(source)
    model, info = load_weights(getattr(transformers, AUTO[task]), source)
    _refuse_other_heads(task, source, model, info)
    if task == "feature-extraction" and model.config.model_type == "t5":
        raise PapergenError(f"model: {source} is a T5 model, which gives no features without a text to write.")
    fit(model, tokenizer, source, max_length=max_length)
    return model.to(device).eval(), tokenizer


def _refuse_other_heads(task: str, source: str | Path, model: Any, info: Any) -> None:
    made = next(iter(model.config.architectures or ()), "")
    missing = sorted(map(str, info["missing_keys"]))
    shapes = sorted(f"{name} is {tuple(a)}, by config.json {tuple(b)}" for name, a, b in info["mismatched_keys"])
    if task == "feature-extraction":
        # A pooler is of no use where the last hidden states are what is asked for.
        missing = [name for name in missing if "pooler." not in name]
    elif any(made.endswith(head) and not AUTO[task].endswith(head) for head in OTHER_HEADS):
        missing = missing or ["its head is another one"]
    if missing:
        raise PapergenError(
            f"model: {source} has no trained weights for {task}: {', '.join(missing[:4])}."
            + (f" It was saved as {made}." if made else ""),
            hint="Fine-tune the head first (kind: tasks), or name the pipeline that the model is for.",
        )
    if shapes:
        raise PapergenError(
            f"model: weights of {source} have other shapes than its config.json says: {'; '.join(shapes[:4])}.",
            hint="Where the classes differ in number, id2label in config.json must name every one.",
        )


def inputs_for(task: str, texts: Sequence[str], data: str, count: int, tokenizer: Any) -> list[Any]:
    """The given texts, or the first `count` test examples of the embedded data `data` as inputs of the pipeline."""
    if texts:
        return list(texts)
    found: dict[Any, None] = {}  # a text may stand in several examples
    for example in embedded(data)[1]:
        if len(found) == count:
            break
        match example:
            case Question(question, context, _):
                found[Asked(question, context)] = None
            case Tagged(words, _):
                found[" ".join(words)] = None
            case Labelled(text, _, _):
                found[text] = None
            case Text(text):
                found[_prompt(task, text, tokenizer)] = None
    return list(found)


def _prompt(task: str, text: str, tokenizer: Any) -> str:
    """For a mask a word in the middle of the first twelve is masked; a prompt is its first words."""
    words = text.split()
    if task == "fill-mask" and tokenizer.mask_token is not None:  # without one the stage says what is wrong
        start = words[:12]  # few enough that the mask is never cut off
        start[len(start) // 2] = tokenizer.mask_token
        return " ".join(start)
    start = words[:8]
    while len(start) > 1 and len(tokenizer(" ".join(start))["input_ids"]) > PROMPT_TOKENS:
        start.pop()
    return " ".join(start)
