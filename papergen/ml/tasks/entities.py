"""Entities from the tags of tokens, as transformers' aggregation_strategy="simple" groups them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

Place = tuple[int, int]


def grouped_entities(
    tokens: Sequence[tuple[str, float, Place]], ids: Sequence[int], tokenizer: Any, text: str
) -> list[dict[str, Any]]:
    """Neighbouring tokens of one type as one entity, O left out; a token is (tag, probability, (start, end)).

    A B- tag begins a new entity; the score is the mean over the tokens, the word what their ids decode to, those that
    the vocabulary does not know as they stand in the text.
    """
    words = tokenizer.convert_ids_to_tokens(ids)
    for index, (_, _, (start, end)) in enumerate(tokens):
        if ids[index] == tokenizer.unk_token_id:
            words[index] = text[start:end]
    begins = []
    before = ""
    for index, (label, _, _) in enumerate(tokens):
        mark, kind = _parts(label)
        if mark == "B" or kind != before:
            begins.append(index)
        before = kind
    found = []
    for first, end in itertools.pairwise([*begins, len(tokens)]):
        kind = _parts(tokens[first][0])[1]
        if kind == "O":
            continue
        found.append(
            {
                "entity_group": kind,
                "score": sum(score for _, score, _ in tokens[first:end]) / (end - first),
                "word": tokenizer.convert_tokens_to_string(words[first:end]),
                "start": tokens[first][2][0],
                "end": tokens[end - 1][2][1],
            }
        )
    return found


@functools.cache
def _parts(label: str) -> tuple[str, str]:
    """Mark and type of a tag; one without a mark continues whatever has its type."""
    mark, dash, kind = label.partition("-")
    return (mark, kind) if dash and mark in {"B", "I"} else ("I", label)
