"""Lexically constrained beam search: forced words and phrases among the new tokens, the beam shared between banks.

Hypotheses that need the same number of further tokens form a bank and compete with each other; the beam is dealt out to
the banks in turns (Hokamp and Liu 2017; Post and Vilar 2018). A hypothesis that could not be completed within the limit
gives way to one that can, so every prompt whose words fit gets them.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from papergen.decoding.beam import NONE, Pool
from papergen.decoding.constraints import Constraints
from papergen.decoding.search import Batch, Hypothesis

UNMET = 1.0e6
"""Taken off the score of a hypothesis without its words while hypotheses are ranked: met ones always come first."""


def constrained_search(batch: Batch) -> list[list[Hypothesis]]:
    """`num_return_sequences` distinct hypotheses per prompt, those with all forced words first, best first."""
    return _ConstrainedBeams(batch).run()


class _ConstrainedBeams:
    """The running hypotheses of a batch; rows of the stepper are (prompt, beam) in this order."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.stepper, self.max_new = batch, batch.stepper, batch.limits.max_new
        self.eos = batch.eos
        device, prompts = batch.device, self.stepper.num_rows
        self.constraints = Constraints(batch.tokens.forced, batch.tokens.vocabulary_size, device)
        self.num_beams = batch.strategy.num_beams
        self.progress = self.constraints.start(prompts, self.num_beams)
        self.pool = Pool.empty(prompts, self.num_beams, self.max_new, device)
        self.is_done = torch.zeros(prompts, dtype=torch.bool, device=device)
        self.scores = torch.full((prompts, self.num_beams), NONE, device=device)
        self.scores[:, 0] = 0.0
        self.log_probs = torch.zeros(prompts, self.num_beams, dtype=torch.float64, device=device)

    def run(self) -> list[list[Hypothesis]]:
        logits = self.stepper.prefill()
        repeated = torch.arange(len(logits), device=self.batch.device).repeat_interleave(self.num_beams)
        self.stepper.select(repeated)
        logits = logits[repeated]
        for step in range(self.max_new):
            tokens, parents = self.advance(logits.log_softmax(dim=1), step)
            if step + 1 == self.max_new or bool(self.is_done.all()):
                break
            self.stepper.reorder(parents)
            logits = self.stepper.step(tokens)
        self.stepper.mark()
        count = self.batch.strategy.num_return_sequences
        return [[_judged(hypothesis) for hypothesis in group[:count]] for group in self.pool.hypotheses()]

    def advance(self, log_probs: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose the next token and the parent row of every row: two (rows,) tensors."""
        prompts, vocabulary = len(self.is_done), log_probs.shape[1]
        processed = self.batch.process(log_probs).view(prompts, self.num_beams, vocabulary)
        is_open = self.constraints.needed(self.progress) > 0
        eos = torch.zeros(vocabulary, dtype=torch.bool, device=self.batch.device).index_fill(0, self.eos, value=True)
        processed = processed.masked_fill(is_open[:, :, None] & eos, -torch.inf)
        totals = (processed + self.scores[:, :, None]).flatten(1)
        flat, is_new = self.candidates(totals.view(prompts, self.num_beams, vocabulary))  # (prompts, candidates)
        found = totals.gather(1, flat).masked_fill(~is_new, -torch.inf)
        found, order = found.sort(dim=1, descending=True, stable=True)
        flat = flat.gather(1, order)
        parents, tokens = flat // vocabulary, flat % vocabulary
        own = log_probs.view(prompts, -1).gather(1, flat).double() + self.log_probs.gather(1, parents)
        progress = self.constraints.advance(self.progress.gather(parents), tokens)
        needed = self.constraints.needed(progress)
        is_there = found > NONE / 2
        is_last = step + 1 == self.max_new
        is_closed = is_there & (torch.isin(tokens, self.eos) | (is_last & (needed == 0)))
        self.collect(
            found, own, parents, tokens, is_closed & (self.rank_in_bank(needed, is_there) < self.num_beams), step
        )
        kept = self.shared_out(needed, is_there & ~is_closed, self.max_new - step - 1)
        if is_last:
            self.collect(found - UNMET, own, parents, tokens, is_there & ~is_closed & _marked(kept, found), step)
        self.scores = torch.where((is_there & ~is_closed).gather(1, kept), found.gather(1, kept), NONE)
        self.log_probs = own.gather(1, kept)
        self.progress = progress.gather(kept)
        self.is_done |= self.is_hopeless(step)
        first_rows = torch.arange(prompts, device=self.batch.device)[:, None] * self.num_beams
        return tokens.gather(1, kept).flatten(), (parents.gather(1, kept) + first_rows).flatten()

    def candidates(self, totals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat indices (prompts, n) of what may follow: each beam's best tokens, and those that its constraints want.

        The second tensor is false where an index is there already or no open constraint wants it.

        Every beam offers as many as the beam is wide, besides EOS, so the best of each bank are all among them.
        """
        beams, vocabulary = totals.shape[1:]
        best = totals.topk(min(self.num_beams + len(self.eos), vocabulary), dim=2).indices
        wanted, is_open = self.constraints.wanted(self.progress)
        is_new = is_open & ~(wanted[..., None] == best[:, :, None]).any(dim=3)
        is_new &= ~(wanted[..., None] == wanted[..., None, :]).tril(diagonal=-1).any(dim=3)
        offsets = torch.arange(beams, device=totals.device)[:, None] * vocabulary
        flat = (torch.cat([best, wanted], dim=2) + offsets).flatten(1)
        return flat, torch.cat([torch.ones_like(best, dtype=torch.bool), is_new], dim=2).flatten(1)

    def shared_out(self, needed: torch.Tensor, is_running: torch.Tensor, room: int) -> torch.Tensor:
        """The candidates (prompts, num_beams) that go on: the best of each bank, then the second of each, and so on."""
        turn = self.rank_in_bank(needed, is_running) * (self.constraints.total + 1) + needed
        last = turn.shape[1] * (self.constraints.total + 1)
        # Those that cannot be completed any more come after all that can, those that are not there at the very end.
        turn = turn + last * (needed > room) + 2 * last * ~is_running
        return turn.topk(self.num_beams, dim=1, largest=False).indices

    def rank_in_bank(self, needed: torch.Tensor, is_there: torch.Tensor) -> torch.Tensor:
        """(prompts, n) how many of the sorted candidates before this one are there and of the same bank."""
        banks = torch.nn.functional.one_hot(needed, self.constraints.total + 1) * is_there[:, :, None]
        before = banks.cumsum(dim=1) - banks
        return before.gather(2, needed[:, :, None])[:, :, 0]

    def collect(
        self,
        found: torch.Tensor,
        own: torch.Tensor,
        parents: torch.Tensor,
        tokens: torch.Tensor,
        is_finished: torch.Tensor,
        step: int,
    ) -> None:
        """Put the finished candidates of prompts that are not done into the pool."""
        is_finished = is_finished & ~self.is_done[:, None]
        if not bool(is_finished.any()):
            return
        offset = torch.where(found < -UNMET / 2, -UNMET, 0.0).double()
        scores = (found.double() - offset) / (step + 1) ** self.batch.strategy.length_penalty + offset
        new = self.stepper.new_ids.view(len(self.is_done), self.num_beams, step)
        ids = torch.cat([new.gather(1, parents[:, :, None].expand(-1, -1, step)), tokens[:, :, None]], dim=2)
        self.pool.add(scores, own, ids, is_finished)

    def is_hopeless(self, step: int) -> torch.Tensor:
        """(prompts,) whether the pool is full and no running hypothesis can be expected to enter."""
        s = self.batch.strategy
        if s.early_stopping is True:
            return self.pool.is_full
        length = self.max_new if s.early_stopping == "never" and s.length_penalty > 0 else step + 1
        bound: torch.Tensor = self.scores.amax(dim=1).double() / length**s.length_penalty
        return self.pool.is_full & (self.pool.worst >= bound)


def _marked(kept: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(prompts, n) true at the places in `kept`."""
    return torch.zeros_like(like, dtype=torch.bool).scatter(1, kept, value=True)


def _judged(found: Hypothesis) -> Hypothesis:
    """The hypothesis with its true score, and whether it has its words."""
    assert found.score is not None, "a search ranks what it finds"
    is_met = found.score > -UNMET / 2
    return replace(found, score=found.score if is_met else found.score + UNMET, is_met=is_met)
