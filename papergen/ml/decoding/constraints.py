"""Forced words as automata: how far each hypothesis is with each phrase, for all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from papergen.ml.decoding.tokens import Phrases


@dataclass(frozen=True)
class Progress:
    """Where hypotheses stand; any leading shape."""

    matched: torch.Tensor
    """(..., phrases) tokens of the phrase that the text ends in."""
    is_met: torch.Tensor
    """(..., constraints) whether one phrase of the constraint has occurred."""

    def select(self, kept: torch.Tensor) -> Progress:
        """Some of the prompts."""
        return Progress(self.matched[kept], self.is_met[kept])

    def gather(self, index: torch.Tensor) -> Progress:
        """The rows `index` (prompts, n) along dimension 1."""
        return Progress(
            self.matched.gather(1, index[:, :, None].expand(-1, -1, self.matched.shape[2])),
            self.is_met.gather(1, index[:, :, None].expand(-1, -1, self.is_met.shape[2])),
        )


class Constraints:
    """Each constraint is a choice of phrases, one of which must occur, without gaps, among the new tokens."""

    def __init__(self, forced: Sequence[Phrases], vocabulary_size: int, device: torch.device) -> None:
        phrases = [(owner, phrase) for owner, choice in enumerate(forced) for phrase in choice]
        alphabet = sorted({token for _, phrase in phrases for token in phrase})
        longest = max(len(phrase) for _, phrase in phrases)
        self.num_constraints = len(forced)
        self._symbols = torch.zeros(vocabulary_size, dtype=torch.long, device=device)
        """Token -> place in the alphabet; 0 for the tokens of no phrase."""
        self._symbols[alphabet] = torch.arange(1, len(alphabet) + 1, device=device)
        table = torch.zeros(len(phrases), longest + 1, len(alphabet) + 1, dtype=torch.long)
        following = torch.zeros(len(phrases), longest + 1, dtype=torch.long)
        for row, (_, phrase) in enumerate(phrases):
            for state in range(len(phrase) + 1):
                if state < len(phrase):
                    following[row, state] = phrase[state]
                for place, token in enumerate(alphabet, start=1):
                    table[row, state, place] = _longest_match((*phrase[:state], token), phrase)
        self._table = table.to(device)
        """(phrases, matched, symbol) -> matched."""
        self._following = following.to(device)
        """(phrases, matched) -> the token that goes on with the phrase."""
        self._lengths = torch.tensor([len(phrase) for _, phrase in phrases], device=device)
        self._owners = torch.tensor([owner for owner, _ in phrases], device=device)
        self._places = torch.arange(len(phrases), device=device)
        shortest = [min(len(phrase) for phrase in choice) for choice in forced]
        self._shortest = torch.tensor(shortest, device=device)
        self.total = sum(shortest)
        """Most tokens that can be needed: those of every constraint's shortest phrase."""

    def start(self, *shape: int) -> Progress:
        """Nothing matched yet: words of the prompt do not count."""
        matched = torch.zeros(*shape, len(self._places), dtype=torch.long, device=self._table.device)
        is_met = torch.zeros(*shape, self.num_constraints, dtype=torch.bool, device=self._table.device)
        return Progress(matched, is_met)

    def advance(self, progress: Progress, tokens: torch.Tensor) -> Progress:
        """After one more token (...) per hypothesis."""
        symbols = self._symbols[tokens][..., None].expand(progress.matched.shape)
        matched = self._table[self._places.expand(progress.matched.shape), progress.matched, symbols]
        complete = matched == self._lengths
        is_met = torch.zeros_like(progress.is_met, dtype=torch.long)
        is_met = is_met.index_add(is_met.ndim - 1, self._owners, complete.long()) > 0
        return Progress(matched, progress.is_met | is_met)

    def needed(self, progress: Progress) -> torch.Tensor:
        """(...) tokens that surely suffice to meet all: only the phrase that is furthest counts as begun.

        Going on with that phrase lowers the number by at least one, so a hypothesis that needs no more tokens than
        there is room for can always be completed.
        """
        remaining = (self._lengths - progress.matched).clamp(min=0)
        # Per constraint, the fewest tokens left in any of its phrases.
        fewest = self._shortest.expand(progress.is_met.shape).clone()
        owners = self._owners.expand(remaining.shape)
        fewest = fewest.scatter_reduce(-1, owners, remaining, "amin")
        is_open = ~progress.is_met
        credit = ((self._shortest - fewest) * is_open).amax(dim=-1)
        needed: torch.Tensor = (self._shortest * is_open).sum(dim=-1) - credit
        return needed

    def wanted(self, progress: Progress) -> tuple[torch.Tensor, torch.Tensor]:
        """The token that goes on with each phrase, and whether its constraint is still open: two (..., phrases)."""
        tokens = self._following[self._places.expand(progress.matched.shape), progress.matched]
        return tokens, ~progress.is_met[..., self._owners]


def _longest_match(text: Sequence[int], phrase: Sequence[int]) -> int:
    """Length of the longest end of `text` that is a beginning of `phrase`."""
    most = min(len(text), len(phrase))
    return next(size for size in range(most, -1, -1) if tuple(text[len(text) - size :]) == tuple(phrase[:size]))
