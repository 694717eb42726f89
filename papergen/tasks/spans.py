"""From the logits of a question-answering head to answers: the best spans of all windows, or that there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

MAX_ANSWER_TOKENS = 15
NUM_BEST = 20
"""Starts and ends of a window that are combined, the most probable ones (as in SQuAD's baseline)."""


@dataclass(frozen=True, order=True)
class Span:
    """A candidate: its score is the sum of start and end logit; characters of the context, end exclusive."""

    score: float
    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """What one window says: its best spans, best first, and the score of having no answer."""

    null_score: float
    spans: tuple[Span, ...]


def read_window(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    offsets: Sequence[tuple[int, int] | None],
    *,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> Window:
    """The best spans of one window; logits are (time,), and only tokens of the context, which have offsets, count."""
    length = len(offsets)
    inside = torch.tensor([place is not None for place in offsets])
    starts = start_logits[:length].float().cpu().masked_fill(~inside, float("-inf"))
    ends = end_logits[:length].float().cpu().masked_fill(~inside, float("-inf"))
    best_starts = torch.topk(starts, min(NUM_BEST, length)).indices.tolist()
    best_ends = torch.topk(ends, min(NUM_BEST, length)).indices.tolist()
    start_scores, end_scores = starts.tolist(), ends.tolist()
    spans = []
    for first in best_starts:
        for last in best_ends:
            before, after = offsets[first], offsets[last]
            if before is None or after is None or not first <= last < first + max_answer_tokens:
                continue
            spans.append(Span(start_scores[first] + end_scores[last], before[0], after[1]))
    null_score = float(start_logits[0].float() + end_logits[0].float())
    return Window(null_score, tuple(sorted(spans, reverse=True)[:NUM_BEST]))


def answer(windows: Sequence[Window], context: str, *, null_threshold: float = 0.0) -> str:
    """The text of the best span over all windows; "" where no answer scores higher by more than the threshold.

    The score of having none is the lowest over the windows: one window that holds the answer outvotes the others
    (Devlin et al. 2019 for SQuAD 2.0).
    """
    best = max((span for window in windows for span in window.spans[:1]), default=None)
    null_score = min(window.null_score for window in windows)
    if best is None or null_score - best.score > null_threshold:
        return ""
    return context[best.start : best.end]
