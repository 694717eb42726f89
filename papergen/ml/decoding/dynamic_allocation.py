"""Dynamic beam allocation: every hypothesis can still be completed, so the forced words are in the output if they fit.

Hypotheses that need the same number of further tokens form a bank and compete with each other; the beam is dealt out to
the banks in turns (Hokamp and Liu 2017; Post and Vilar 2018).
"""

from __future__ import annotations

import torch

from papergen.ml.decoding.beam import NONE, Pool, is_hopeless
from papergen.ml.decoding.constraints import Constraints
from papergen.ml.decoding.search import Batch


class DynamicAllocation:
    """The hypotheses of all prompts of a batch."""

    def __init__(self, batch: Batch, constraints: Constraints) -> None:
        prompts, size, device = batch.stepper.num_rows, batch.strategy.num_beams, batch.device
        self.batch, self.constraints, self.size, self.max_new = batch, constraints, size, batch.limits.max_new
        self.progress = constraints.start(prompts, size)
        self.scores = torch.full((prompts, size), NONE, device=device)
        self.scores[:, 0] = 0.0
        self.log_probs = torch.zeros(prompts, size, dtype=torch.float64, device=device)
        self.is_done = torch.zeros(prompts, dtype=torch.bool, device=device)
        """(prompts,) whether nothing better can be expected."""
        self.met = Pool.empty(prompts, size, self.max_new, device)
        self.unmet = Pool.empty(prompts, size, self.max_new, device)
        """What was left at the limit without all words: returned only where the words do not fit."""

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All that was found."""
        return (self.met, self.unmet)

    def select(self, kept: torch.Tensor) -> None:
        """Go on with the prompts `kept` (n,) alone."""
        self.progress, self.is_done = self.progress.select(kept), self.is_done[kept]
        self.scores, self.log_probs = self.scores[kept], self.log_probs[kept]
        self.met, self.unmet = self.met.select(kept), self.unmet.select(kept)

    def advance(
        self, log_probs: torch.Tensor, processed: torch.Tensor, new: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Next tokens and parents within the beam, two (prompts, size).

        `log_probs` are the model's and `processed` the strategy's scores, (prompts, size, vocabulary); `new`
        (prompts, size, step) the tokens so far.
        """
        vocabulary = processed.shape[2]
        eos = torch.zeros(vocabulary, dtype=torch.bool, device=new.device).index_fill(0, self.batch.eos, value=True)
        is_open = self.constraints.needed(self.progress) > 0
        # A text may not end before it has its words.
        processed = processed.masked_fill(is_open[:, :, None] & eos, -torch.inf)
        totals = processed + self.scores[:, :, None]
        flat, is_new = self.candidates(totals)  # (prompts, candidates)
        found = totals.flatten(1).gather(1, flat).masked_fill(~is_new, -torch.inf)
        found, order = found.sort(dim=1, descending=True, stable=True)
        flat = flat.gather(1, order)
        parents, tokens = flat // vocabulary, flat % vocabulary
        own = log_probs.flatten(1).gather(1, flat).double() + self.log_probs.gather(1, parents)
        progress = self.constraints.advance(self.progress.gather(parents), tokens)
        needed = self.constraints.needed(progress)
        is_there, is_last = found > NONE / 2, step + 1 == self.max_new
        is_closed = is_there & (eos[tokens] | (is_last & (needed == 0)))
        kept = self.shared_out(needed, is_there & ~is_closed, self.max_new - step - 1)
        is_best = self.rank_in_bank(needed, is_there) < self.size
        ids = torch.cat([new.gather(1, parents[:, :, None].expand(-1, -1, step)), tokens[:, :, None]], dim=2)
        scores = found.double() / (step + 1) ** self.batch.strategy.length_penalty
        self.met.add(scores, own, ids, is_closed & is_best & ~self.is_done[:, None])
        if is_last:
            is_left = torch.zeros_like(is_there).scatter(1, kept, value=True) & is_there & ~is_closed
            self.unmet.add(scores, own, ids, is_left)
        self.scores = torch.where((is_there & ~is_closed).gather(1, kept), found.gather(1, kept), NONE)
        self.log_probs = own.gather(1, kept)
        self.progress = progress.gather(kept)
        self.is_done = self.is_done | is_hopeless(self.batch, self.met, self.scores.amax(dim=1), step)
        return tokens.gather(1, kept), parents.gather(1, kept)

    def candidates(self, totals: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flat indices (prompts, n) of what may follow: each hypothesis's best tokens, and those its constraints want.

        Every hypothesis offers as many as the beam is wide, besides EOS, so the best of each bank are all among them.
        The second tensor is false where an index is there already or no open constraint wants it.
        """
        vocabulary = totals.shape[2]
        best = totals.topk(min(self.size + len(self.batch.tokens.eos), vocabulary), dim=2).indices
        wanted, is_open = self.constraints.wanted(self.progress)
        is_new = is_open & ~(wanted[..., None] == best[:, :, None]).any(dim=3)
        is_new &= ~(wanted[..., None] == wanted[..., None, :]).tril(diagonal=-1).any(dim=3)
        offsets = torch.arange(self.size, device=totals.device)[:, None] * vocabulary
        flat = (torch.cat([best, wanted], dim=2) + offsets).flatten(1)
        return flat, torch.cat([torch.ones_like(best, dtype=torch.bool), is_new], dim=2).flatten(1)

    def shared_out(self, needed: torch.Tensor, is_running: torch.Tensor, room: int) -> torch.Tensor:
        """The candidates (prompts, size) that go on: the best of each bank, then the second of each, and so on."""
        # Post and Vilar (2018): banks take turns, so none of them starves the others.
        turn = self.rank_in_bank(needed, is_running) * (self.constraints.total + 1) + needed
        last = turn.shape[1] * (self.constraints.total + 1)
        # Those that cannot be completed any more come after all that can, those that are not there at the very end.
        turn = turn + last * (needed > room) + 2 * last * ~is_running
        return turn.topk(self.size, dim=1, largest=False).indices

    def rank_in_bank(self, needed: torch.Tensor, is_there: torch.Tensor) -> torch.Tensor:
        """(prompts, n) how many of the sorted candidates before this one are there and of the same bank."""
        is_bank = needed[:, :, None] == torch.arange(self.constraints.total + 1, device=needed.device)
        banks = (is_bank & is_there[:, :, None]).long()
        before = banks.cumsum(dim=1) - banks
        return before.gather(2, needed[:, :, None])[:, :, 0]
