"""Post-processing that takes more than a softmax: entities from tags, answers from start and end probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Place = tuple[int, int]


@dataclass(frozen=True, order=True)
class Answer:
    """An answer and its probability; characters of the context, end exclusive. "" stands for none."""

    score: float
    start: int
    end: int
    text: str


def grouped_entities(
    tokens: Sequence[tuple[str, float, Place]], ids: Sequence[int], tokenizer: Any
) -> list[dict[str, Any]]:
    """Neighbouring tokens of one type as one entity, O left out, as transformers' aggregation_strategy="simple".

    A B- tag begins a new entity; the score is the mean over the tokens, the word what their ids decode to.
    """
    groups: list[list[int]] = []
    for index, (label, _, _) in enumerate(tokens):
        mark, kind = _parts(label)
        if groups and _parts(tokens[groups[-1][-1]][0])[1] == kind and mark != "B":
            groups[-1].append(index)
        else:
            groups.append([index])
    found = []
    for group in groups:
        kind = _parts(tokens[group[0]][0])[1]
        if kind == "O":
            continue
        found.append(
            {
                "entity_group": kind,
                "score": sum(tokens[index][1] for index in group) / len(group),
                "word": tokenizer.convert_tokens_to_string(
                    tokenizer.convert_ids_to_tokens([ids[index] for index in group])
                ),
                "start": tokens[group[0]][2][0],
                "end": tokens[group[-1]][2][1],
            }
        )
    return found


def _parts(label: str) -> tuple[str, str]:
    """Mark and type of a tag; one without a mark continues whatever has its type."""
    mark, dash, kind = label.partition("-")
    return (mark, kind) if dash and mark in {"B", "I"} else ("I", label)


def best_answers(
    windows: Sequence[tuple[torch.Tensor, torch.Tensor, Sequence[Place | None]]],
    context: str,
    *,
    max_answer_length: int = 15,
    handle_impossible_answer: bool = False,
    top_k: int = 1,
) -> list[Answer]:
    """The most probable answers over all windows of one context, as transformers' former pipeline gave them.

    A window is (start logits, end logits, offsets). Starts and ends are softmaxes over the tokens of the context and
    the first token; a span's score is the product of its two ends. The first token, where a model points that finds no
    answer, is then left out of the spans, and its own score, the lowest over the windows, stands for no answer.
    """
    found: list[Answer] = []
    null_score = 1.0
    for start_logits, end_logits, offsets in windows:
        length = len(offsets)
        allowed = torch.tensor([place is not None for place in offsets])
        allowed[0] = True
        starts = torch.softmax(start_logits[:length].double().masked_fill(~allowed, float("-inf")), dim=-1)
        ends = torch.softmax(end_logits[:length].double().masked_fill(~allowed, float("-inf")), dim=-1)
        null_score = min(null_score, float(starts[0] * ends[0]))
        starts[0] = ends[0] = 0.0
        # (start, end): products of pairs that go forward and are not too long.
        scores = torch.triu(starts[:, None] * ends[None, :]).tril(max_answer_length - 1)
        best = torch.topk(scores.flatten(), min(top_k, scores.numel()))
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            first, last = offsets[place // length], offsets[place % length]
            if first is None or last is None:
                continue
            begin, end = _whole_words(context, first[0], last[1])
            found.append(Answer(score, begin, end, context[begin:end]))
    if handle_impossible_answer or not found:
        found.append(Answer(null_score, 0, 0, ""))
    return sorted(found, key=lambda one: -one.score)[:top_k]


def _whole_words(context: str, begin: int, end: int) -> Place:
    """The span widened to the words that it cuts; words are what stands between white space."""
    while begin > 0 and not context[begin - 1].isspace() and not context[begin].isspace():
        begin -= 1
    while end < len(context) and not context[end].isspace() and not context[end - 1].isspace():
        end += 1
    return begin, end
