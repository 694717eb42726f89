"""Legacy beam allocation, that of transformers 4: likely text first, the forced words pushed in, none guaranteed.

It follows one phrase at a time, counts words of the prompt, and considers fewer continuations than dynamic allocation,
which leaves it more room for likely text. It is here so that no output scores below what that release found where
that was valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from papergen.ml.decoding.beam import NONE, Pool, is_hopeless
from papergen.ml.decoding.search import Batch
from papergen.ml.decoding.tokens import Phrases


@dataclass(frozen=True)
class OnePhrase:
    """Which constraints are complete and which one is under way; any leading shape."""

    is_complete: torch.Tensor
    """(..., constraints)"""
    matched: torch.Tensor
    """(..., phrases) tokens of the phrase under way, 0 for the phrases that are not."""

    def select(self, kept: torch.Tensor) -> OnePhrase:
        """Some of the prompts."""
        return OnePhrase(self.is_complete[kept], self.matched[kept])

    def gather(self, index: torch.Tensor) -> OnePhrase:
        """The rows `index` (prompts, n) along dimension 1."""
        wide = index[:, :, None]
        return OnePhrase(
            self.is_complete.gather(1, wide.expand(-1, -1, self.is_complete.shape[2])),
            self.matched.gather(1, wide.expand(-1, -1, self.matched.shape[2])),
        )


class OneAtATime:
    """Constraints met one after the other: while a phrase is under way no other counts, and a wrong token ends it."""

    def __init__(self, forced: Sequence[Phrases], device: torch.device) -> None:
        phrases = [(owner, phrase) for owner, choice in enumerate(forced) for phrase in choice]
        self.longest = max(len(phrase) for _, phrase in phrases)
        padded = [[*phrase, *[-1] * (self.longest + 1 - len(phrase))] for _, phrase in phrases]
        self._tokens = torch.tensor(padded, device=device)  # (phrases, longest + 1)
        self._lengths = torch.tensor([len(phrase) for _, phrase in phrases], device=device)
        self._owners = torch.tensor([owner for owner, _ in phrases], device=device)
        self._heights = torch.tensor([max(len(phrase) for phrase in choice) for choice in forced], device=device)
        self._places = torch.arange(len(phrases), device=device)

    def start(self, num_rows: int) -> OnePhrase:
        """Nothing matched yet, for (num_rows,) texts."""
        shape = (num_rows, len(self._heights)), (num_rows, len(self._places))
        device = self._places.device
        return OnePhrase(
            torch.zeros(shape[0], dtype=torch.bool, device=device),
            torch.zeros(shape[1], dtype=torch.long, device=device),
        )

    def advance(self, state: OnePhrase, tokens: torch.Tensor) -> OnePhrase:
        """After one more token (...) per text."""
        following, is_offered = self.wanted(state)
        matched = torch.where(is_offered & (following == tokens[..., None]), state.matched + 1, 0)
        # Several open constraints may start with this token: the first of them is the one under way.
        is_begun = self._per_constraint(matched > 0)
        first = is_begun & (is_begun.cumsum(dim=-1) == 1)
        matched = torch.where(first[..., self._owners], matched, 0)
        is_reached = self._per_constraint(matched == self._lengths)
        matched = torch.where(is_reached[..., self._owners], 0, matched)
        return OnePhrase(state.is_complete | is_reached, matched)

    def wanted(self, state: OnePhrase) -> tuple[torch.Tensor, torch.Tensor]:
        """The token that goes on with each phrase, and whether that phrase may go on: two (..., phrases)."""
        following = self._tokens[self._places.expand(state.matched.shape), state.matched]
        is_under_way = (state.matched > 0).any(dim=-1, keepdim=True)
        is_open = ~state.is_complete[..., self._owners]
        return following, torch.where(is_under_way, state.matched > 0, is_open)

    def bank(self, state: OnePhrase) -> torch.Tensor:
        """(...) how far a text is: tokens of complete constraints, each counted as the longest, and those under way."""
        height = self._heights[self._owners]
        under_way = torch.where(state.matched > 0, self.longest - (height - state.matched), 0).amax(dim=-1)
        return state.is_complete.sum(dim=-1) * self.longest + under_way

    def _per_constraint(self, flags: torch.Tensor) -> torch.Tensor:
        """(..., constraints) whether any phrase of the constraint has the flag (..., phrases)."""
        counts = torch.zeros(*flags.shape[:-1], len(self._heights), dtype=torch.long, device=flags.device)
        return counts.index_add(counts.ndim - 1, self._owners, flags.long()) > 0


class LegacyAllocation:
    """The hypotheses of all prompts of a batch; the interface of `DynamicAllocation`."""

    def __init__(self, batch: Batch) -> None:
        stepper, size, device = batch.stepper, batch.strategy.num_beams, batch.device
        prompts = stepper.num_rows
        self.batch, self.size, self.max_new = batch, size, batch.limits.max_new
        self.rules = OneAtATime(batch.tokens.forced, device)
        state = self.rules.start(prompts)
        # transformers 4 counts words of the prompt as met; kept, or its better finds would be missed.
        for place in range(stepper.prompt_width):
            state = self.rules.advance(state, stepper.ids[:, place])
        self.state = OnePhrase(
            state.is_complete[:, None].expand(-1, size, -1), state.matched[:, None].expand(-1, size, -1)
        )
        self.scores = torch.full((prompts, size), NONE, device=device)
        self.scores[:, 0] = 0.0
        self.log_probs = torch.zeros(prompts, size, dtype=torch.float64, device=device)
        self.is_done = torch.zeros(prompts, dtype=torch.bool, device=device)
        """(prompts,) whether nothing better can be expected."""
        self.finished = Pool.empty(prompts, size, self.max_new, device)
        self.left = Pool.empty(prompts, size, self.max_new, device)
        """What was running at the limit."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All that was found."""
        return (self.finished, self.left)

    def select(self, kept: torch.Tensor) -> None:
        """Go on with the prompts `kept` (n,) alone."""
        self.state, self.is_done = self.state.select(kept), self.is_done[kept]
        self.scores, self.log_probs = self.scores[kept], self.log_probs[kept]
        self.finished, self.left = self.finished.select(kept), self.left.select(kept)

    def advance(
        self, log_probs: torch.Tensor, processed: torch.Tensor, new: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Next tokens and parents within the beam, two (prompts, size); arguments as for `StrictBeam.advance`."""
        vocabulary, eos = processed.shape[2], self.batch.eos
        totals = (processed + self.scores[:, :, None]).flatten(1)
        found, flat = totals.topk(max(2, 1 + len(eos)) * self.size, dim=1)
        is_eos = torch.isin(flat % vocabulary, eos)
        is_complete = self.state.is_complete.all(dim=2).gather(1, flat // vocabulary)
        is_finished = is_eos & is_complete & (torch.arange(flat.shape[1], device=flat.device) < self.size)
        self.add(self.finished, found, flat, is_finished & (found > NONE / 2), log_probs, new)
        best, order = (found + is_eos * NONE).topk(self.size, dim=1)
        flat = flat.gather(1, order)
        scores, flat, state = self.pushed(best, flat, totals, vocabulary)
        self.is_done = self.is_done | is_hopeless(self.batch, self.finished, found[:, 0], step)
        if step + 1 == self.max_new:
            self.add(self.left, scores, flat, scores > NONE / 2, log_probs, new)
        parents, tokens = flat // vocabulary, flat % vocabulary
        self.log_probs = self.log_probs.gather(1, parents) + log_probs.flatten(1).gather(1, flat).double()
        self.scores, self.state = scores, state
        return tokens, parents

    def give_up(self, met: Pool, step: int) -> None:
        """Be done where as many texts of `met` as are wanted score above all that this beam can still come to.

        A text's total only falls as it grows, and counts most at the length that divides it by most. So it is not known
        where something may raise a score above 0, the logarithm of certainty.
        """
        strategy, count = self.batch.strategy, self.batch.strategy.num_return_sequences
        if strategy.sequence_bias or strategy.exponential_decay_length_penalty:
            return
        length = self.max_new if strategy.length_penalty > 0 else step + 2
        bound = self.scores.amax(dim=1).double() / length**strategy.length_penalty
        self.is_done = self.is_done | (met.is_there[:, count - 1] & (met.scores[:, count - 1] >= bound))

    def pushed(
        self, best: torch.Tensor, flat: torch.Tensor, totals: torch.Tensor, vocabulary: int
    ) -> tuple[torch.Tensor, torch.Tensor, OnePhrase]:
        """`size` of the beam's best candidates and of those that constraints want, dealt out to the banks in turns."""
        wanted, is_offered = self.rules.wanted(self.state)
        offsets = torch.arange(self.size, device=flat.device)[:, None] * vocabulary
        extra = (wanted.clamp(min=0) + offsets).flatten(1)  # (prompts, size * phrases)
        is_new = (is_offered & (self.scores[:, :, None] > NONE / 2)).flatten(1)
        is_new &= ~(extra[:, :, None] == flat[:, None, :]).any(dim=2)
        is_new &= ~((extra[:, :, None] == extra[:, None, :]) & is_new[:, None, :]).tril(diagonal=-1).any(dim=2)
        flat = torch.cat([flat, extra], dim=1)
        scores = torch.cat([best, totals.gather(1, extra)], dim=1)
        is_there = torch.cat([torch.ones_like(best, dtype=torch.bool), is_new], dim=1)
        state = self.rules.advance(self.state.gather(flat // vocabulary), flat % vocabulary)
        banks = self.rules.bank(state)
        # The 100 is transformers 4's (`bank * 100 + score`): the order of its beams depends on it.
        key = torch.where(is_there, banks * 100.0 + scores, -torch.inf)
        order = key.argsort(dim=1, descending=True, stable=True)
        sorted_banks = banks.gather(1, order)
        places = torch.arange(order.shape[1], device=order.device).expand(order.shape)
        is_first = torch.ones_like(is_there)
        is_first[:, 1:] = sorted_banks[:, 1:] != sorted_banks[:, :-1]
        turn = places - torch.where(is_first, places, 0).cummax(dim=1).values
        turn = torch.where(is_there.gather(1, order), turn, order.shape[1])
        kept = order.gather(1, turn.argsort(dim=1, stable=True)[:, : self.size])
        # Without a candidate of the constraints' own, the best stay in their order.
        kept = torch.where(is_new.any(dim=1, keepdim=True), kept, places[:, : self.size])
        return scores.gather(1, kept), flat.gather(1, kept), state.gather(kept)

    def add(
        self,
        pool: Pool,
        found: torch.Tensor,
        flat: torch.Tensor,
        is_finished: torch.Tensor,
        log_probs: torch.Tensor,
        new: torch.Tensor,
    ) -> None:
        """Put those of the candidates that are finished, in prompts that are not done, into a pool."""
        step, vocabulary = new.shape[2], log_probs.shape[2]
        parents, tokens = flat // vocabulary, flat % vocabulary
        ids = torch.cat([new.gather(1, parents[:, :, None].expand(-1, -1, step)), tokens[:, :, None]], dim=2)
        own = self.log_probs.gather(1, parents) + log_probs.flatten(1).gather(1, flat).double()
        scores = found.double() / (step + 1) ** self.batch.strategy.length_penalty
        pool.add(scores, own, ids, is_finished & ~self.is_done[:, None])
