"""Models and inputs for the pipelines: loaded with every weight found, and test examples in the form that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers

from papergen.errors import PapergenError
from papergen.pretrained import load_weights, untrained
from papergen.tasks.embedded import embedded
from papergen.tasks.examples import Labelled, Question, Tagged, Text
from papergen.tasks.heads import load_tokenizer
from papergen.tasks.stages import AUTO, Asked

PROMPT_TOKENS = 24
"""Most tokens of a prompt: room is left for what is generated."""


def load_for(task: str, source: str | Path, *, device: str) -> tuple[Any, Any]:
    """Model and tokenizer for a pipeline, in evaluation mode on the device.

    PapergenError when a weight is missing: an untrained head would give answers that mean nothing.
    """
    tokenizer = load_tokenizer(source)
    model, info = load_weights(getattr(transformers, AUTO[task]), source)
    missing = untrained(info)
    # A pooler is of no use where the last hidden states are what is asked for.
    missing = [name for name in missing if not (task == "feature-extraction" and "pooler." in name)]
    if missing:
        raise PapergenError(f"model: {source} has no trained weights for {task}: {', '.join(missing[:4])}.")
    return model.to(device).eval(), tokenizer


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
    if task == "fill-mask":
        start = words[:12]  # few enough that the mask is never cut off
        start[len(start) // 2] = tokenizer.mask_token
        return " ".join(start)
    start = words[:8]
    while len(start) > 1 and len(tokenizer(" ".join(start))["input_ids"]) > PROMPT_TOKENS:
        start.pop()
    return " ".join(start)
