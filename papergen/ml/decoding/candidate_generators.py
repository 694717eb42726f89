"""Guesses at the next tokens: by a smaller model, or by looking up how the text went on where it read the same."""

from __future__ import annotations

from typing import Protocol

import torch

from papergen.ml.decoding.processors import Processors, TextState
from papergen.ml.decoding.ragged_stepper import RaggedStepper
from papergen.ml.decoding.sampling import draw
from papergen.ml.decoding.stream import uniforms


class RaggedTexts:
    """The texts of a batch while rows have different lengths: one (rows, room) tensor, padded on the left.

    Columns are the positions of the cache. What stands from `ends` on has no meaning.
    """

    def __init__(
        self, ids: torch.Tensor, pads: torch.Tensor, keys: torch.Tensor | None, *, max_new: int, pad: int
    ) -> None:
        self.prompt_width = ids.shape[1]
        self.ids = torch.nn.functional.pad(ids, (0, max_new), value=pad)
        self.pads = pads
        self.ends = torch.full_like(pads, self.prompt_width)
        """(rows,) where the next token goes."""
        self.keys = keys
        """(rows,) streams of random numbers; None for the likeliest token."""
        self._pad = pad

    @property
    def num_new(self) -> torch.Tensor:
        """(rows,) tokens generated so far."""
        return self.ends - self.prompt_width

    def select(self, index: torch.Tensor) -> None:
        """Row i becomes the old row `index[i]`."""
        self.ids, self.pads, self.ends = self.ids[index], self.pads[index], self.ends[index]
        self.keys = None if self.keys is None else self.keys[index]

    def choose(
        self, processors: Processors, logits: torch.Tensor, rows: torch.Tensor, ends: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The token that belongs at `ends` (n,) of the rows `rows` (n,) by `logits` (n, vocabulary), and its scores.

        It is the likeliest, or the one that the row's random number for this place draws: who asks with the same
        scores gets the same token, whether draft or text.
        """
        scores = logits
        if not processors.is_idle:
            scores = processors(self._context(rows, ends), logits)
        if self.keys is None:
            return scores.argmax(dim=1), scores
        return draw(scores, uniforms(self.keys[rows], ends - self.prompt_width, 1)), scores

    def _context(self, rows: torch.Tensor, ends: torch.Tensor) -> TextState:
        """The first tokens of some rows, up to `ends`, padded on the left to one width."""
        starts = self.pads[rows]
        width = int((ends - starts).max())
        columns = ends[:, None] - width + torch.arange(width, device=ends.device)
        ids = self.ids[rows[:, None], columns.clamp(min=0)].masked_fill(columns < starts[:, None], self._pad)
        return TextState(ids, width - (ends - starts), ends - self.prompt_width)


class CandidateGenerator(Protocol):
    """Who guesses."""

    def propose(self, texts: RaggedTexts, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Up to `wanted` (rows,) next tokens: (rows, most) tokens, of which the first (rows,) counts are guesses."""

    def select(self, index: torch.Tensor) -> None:
        """Row i becomes the old row `index[i]`."""


class PromptLookupGenerator:
    """What followed the last place where the text read as it does now (Saxena 2023).

    Of the places where the longest n-gram, of at most `max_ngram` tokens, stood before, the latest counts; where it is
    so near that the text ends before the draft does, the draft goes round: the text is taken to have that period.
    """

    def __init__(self, max_ngram: int) -> None:
        self.max_ngram = max_ngram

    def propose(self, texts: RaggedTexts, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `CandidateGenerator`; a row without such a place has no draft."""
        width = int(texts.ends.max())
        ids = texts.ids[:, :width]
        rows = torch.arange(len(ids), device=ids.device)
        # Column e stands for an n-gram that ends before e; it must be text, and not the last one itself.
        ends = torch.arange(width, device=ids.device)
        is_same = ends < texts.ends[:, None]
        longest = torch.zeros_like(ids)  # (rows, width) tokens before e that are the last ones of the row
        for back in range(1, self.max_ngram + 1):
            last = ids[rows, (texts.ends - back).clamp(min=0)]
            before = torch.nn.functional.pad(ids, (back, 0))[:, :width]
            is_same = is_same & (before == last[:, None]) & (ends - back >= texts.pads[:, None])
            longest += is_same
        best = (longest * (width + 1) + ends).amax(dim=1)
        size, place = best // (width + 1), best % (width + 1)
        counts = torch.where(size > 0, wanted, 0)
        reach = torch.arange(max(1, int(counts.max())), device=ids.device)
        period = (texts.ends - place).clamp(min=1)
        columns = (place[:, None] + reach % period[:, None]).clamp(max=width - 1)
        return ids[rows[:, None], columns], counts

    def select(self, index: torch.Tensor) -> None:
        """Nothing is remembered."""


class AssistantGenerator:
    """Drafts of a smaller model, whose stepper has been prefilled with the prompts.

    It chooses as the strategy does, after the same processors and with the same random numbers. A draft ends with EOS,
    or after the first token whose probability is below `threshold` (as in transformers).
    """

    def __init__(self, stepper: RaggedStepper, processors: Processors, eos: torch.Tensor, *, threshold: float) -> None:
        self._stepper, self._processors, self._eos, self._threshold = stepper, processors, eos, threshold

    def propose(self, texts: RaggedTexts, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `CandidateGenerator`."""
        most = int(wanted.max())
        drafts = texts.ids.new_zeros(len(wanted), max(1, most))
        counts = torch.zeros_like(wanted)
        active = wanted.nonzero()[:, 0]
        # The last two tokens: the one before the last is missing where all drafts of a row were accepted.
        starts = texts.ends - 2
        rows = torch.arange(len(wanted), device=wanted.device)
        tokens = texts.ids[rows[:, None], torch.stack([starts, starts + 1], dim=1)]
        for place in range(most):
            logits = self._stepper.run(tokens, starts)[:, -1].float()
            ends = texts.ends[active] + place
            chosen, scores = texts.choose(self._processors, logits[active], active, ends)
            texts.ids[active, ends] = chosen
            drafts[active, place] = chosen
            counts[active] += 1
            goes_on = (place + 1 < wanted[active]) & ~torch.isin(chosen, self._eos)
            if self._threshold > 0:
                log_probs = scores.gather(1, chosen[:, None])[:, 0] - scores.logsumexp(dim=1)
                goes_on &= log_probs.exp() >= self._threshold
            active = active[goes_on]
            if len(active) == 0:
                break
            tokens, starts = drafts[:, place : place + 1], texts.ends + place
        return drafts, counts

    def select(self, index: torch.Tensor) -> None:
        """Row i becomes the old row `index[i]`."""
        self._stepper.select(index)
