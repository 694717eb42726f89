"""From the logits of a question-answering head to answers: as SQuAD's evaluation reads them, and as the pipeline did.

Both look for the best span of each window of a context and may find that there is none. The evaluation adds logits and
lets the lowest score of having no answer win by a threshold (Devlin et al. 2019). The pipeline that transformers 5
removed multiplies probabilities and widens the answer to whole words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from papergen.ml.tasks.metrics import CHINESE_PUNCTUATION, HAN

MAX_ANSWER_TOKENS = 15
"""As in SQuAD's baseline and in transformers' former pipeline."""

Place = tuple[int, int]
"""Characters of the context, end exclusive."""


@dataclass(frozen=True, order=True)
class Span:
    """A candidate: its score is that of its start plus that of its end; characters of the context, end exclusive."""

    score: float
    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """What one window says: its best span, if it holds any of the context, and the score of having no answer."""

    null_score: float
    best: Span | None


@dataclass(frozen=True, order=True)
class Answer:
    """An answer and its probability; characters of the context, end exclusive. "" stands for none."""

    score: float
    start: int
    end: int
    text: str


def best_span(
    starts: torch.Tensor, ends: torch.Tensor, offsets: Sequence[Place | None], *, max_answer_tokens: int
) -> Span | None:
    """The span with the highest sum of its two scores, which are (time,), among those that go forward.

    Only tokens with offsets count, and spans of at most `max_answer_tokens`; None where there is no such token.
    """
    length = len(offsets)
    outside = torch.tensor([place is None for place in offsets])
    first = starts[:length].double().cpu().masked_fill(outside, -math.inf)
    last = ends[:length].double().cpu().masked_fill(outside, -math.inf)
    # Upper triangle: an end is not before its start; the band: at most so many tokens.
    allowed = torch.ones(length, length, dtype=torch.bool).triu().tril(max_answer_tokens - 1)
    scores = (first[:, None] + last[None, :]).masked_fill(~allowed, -math.inf)  # (start, end)
    begin, end = divmod(int(scores.argmax()), length)
    before, after = offsets[begin], offsets[end]
    if before is None or after is None:
        return None
    return Span(float(scores[begin, end]), before[0], after[1])


def read_window(
    start_logits: torch.Tensor,
    end_logits: torch.Tensor,
    offsets: Sequence[Place | None],
    *,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> Window:
    """What one window says by its logits, (time,) each; having no answer is pointing at the first token."""
    null_score = float(start_logits[0].double() + end_logits[0].double())
    return Window(null_score, best_span(start_logits, end_logits, offsets, max_answer_tokens=max_answer_tokens))


def answer(windows: Sequence[Window], context: str, *, null_threshold: float = 0.0) -> str:
    """The text of the best span over all windows; "" where no answer scores higher by more than the threshold.

    The score of having none is the lowest over the windows: one window that holds the answer outvotes the others
    (Devlin et al. 2019 for SQuAD 2.0).
    """
    best = max((window.best for window in windows if window.best is not None), default=None)
    null_score = min(window.null_score for window in windows)
    if best is None or null_score - best.score > null_threshold:
        return ""
    return context[best.start : best.end]


def best_answer(
    windows: Sequence[tuple[torch.Tensor, torch.Tensor, Sequence[Place | None]]],
    context: str,
    *,
    max_answer_length: int = MAX_ANSWER_TOKENS,
    handle_impossible_answer: bool = False,
) -> Answer:
    """The most probable answer over all windows of one context, as transformers' former pipeline gave it.

    A window is (start logits, end logits, offsets). Starts and ends are softmaxes over the tokens of the context and
    the first token; a span's score is the product of its two ends. The first token, where a model points that finds no
    answer, is left out of the spans, and its own score, the lowest over the windows, stands for no answer.
    """
    found: list[Answer] = []
    null_score = 1.0
    for start_logits, end_logits, offsets in windows:
        outside = torch.tensor([False, *(place is None for place in offsets[1:])])
        starts, ends = (
            torch.log_softmax(logits[: len(offsets)].double().cpu().masked_fill(outside, -math.inf), dim=-1)
            for logits in (start_logits, end_logits)
        )
        null_score = min(null_score, math.exp(float(starts[0] + ends[0])))
        best = best_span(starts, ends, [None, *offsets[1:]], max_answer_tokens=max_answer_length)
        if best is not None:
            begin, end = _whole_words(context, best.start, best.end)
            found.append(Answer(math.exp(best.score), begin, end, context[begin:end]))
    if handle_impossible_answer or not found:
        found.append(Answer(null_score, 0, 0, ""))
    return max(found, key=lambda one: one.score)


def _whole_words(context: str, begin: int, end: int) -> Place:
    """The span widened to the words that it cuts; words are what stands between white space or Chinese characters."""
    while begin > 0 and not (_ends_word(context[begin - 1]) or _ends_word(context[begin])):
        begin -= 1
    while end < len(context) and not (_ends_word(context[end]) or _ends_word(context[end - 1])):
        end += 1
    return begin, end


def _ends_word(char: str) -> bool:
    return char.isspace() or char in CHINESE_PUNCTUATION or HAN.match(char) is not None
