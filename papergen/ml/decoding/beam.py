"""Beam search, beam sampling and diverse (group) beam search over whole batches.

Scores are those of transformers: sum of processed log-probabilities / length**length_penalty, with the diversity term
inside for diverse search. Beam search stops as in transformers 5, diverse search as in 4.56, the last one that had it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from papergen.ml.decoding.search import Batch, Hypothesis
from papergen.ml.decoding.stream import uniforms

NONE = -1.0e9
"""Score of a hypothesis that is not there."""


@dataclass
class Pool:
    """The best finished hypotheses of every prompt, best first."""

    scores: torch.Tensor  # (prompts, size) float64
    log_probs: torch.Tensor  # (prompts, size) float64
    ids: torch.Tensor  # (prompts, size, max_new), -1 after the end
    is_there: torch.Tensor  # (prompts, size)

    @classmethod
    def empty(cls, num_prompts: int, size: int, max_new: int, device: torch.device) -> Pool:
        """A pool with room for `size` hypotheses per prompt."""
        return cls(
            scores=torch.full((num_prompts, size), NONE, dtype=torch.float64, device=device),
            log_probs=torch.zeros(num_prompts, size, dtype=torch.float64, device=device),
            ids=torch.full((num_prompts, size, max_new), -1, dtype=torch.long, device=device),
            is_there=torch.zeros(num_prompts, size, dtype=torch.bool, device=device),
        )

    def select(self, kept: torch.Tensor) -> Pool:
        """The pool of some of the prompts."""
        return Pool(self.scores[kept], self.log_probs[kept], self.ids[kept], self.is_there[kept])

    @property
    def is_full(self) -> torch.Tensor:
        """(prompts,) whether there are as many hypotheses as the pool can hold."""
        return self.is_there.all(dim=1)

    @property
    def worst(self) -> torch.Tensor:
        """(prompts,) score to beat."""
        return torch.where(self.is_full, self.scores[:, -1], NONE)

    def add(self, scores: torch.Tensor, log_probs: torch.Tensor, ids: torch.Tensor, is_finished: torch.Tensor) -> None:
        """Merge candidates (prompts, n) with ids (prompts, n, length); those not `is_finished` count as absent."""
        ids = torch.nn.functional.pad(ids, (0, self.ids.shape[2] - ids.shape[2]), value=-1)
        merged = torch.cat([self.scores, torch.where(is_finished, scores, NONE)], dim=1)
        self.scores, kept = merged.topk(self.scores.shape[1], dim=1)
        self.log_probs = torch.cat([self.log_probs, log_probs], dim=1).gather(1, kept)
        self.is_there = torch.cat([self.is_there, is_finished], dim=1).gather(1, kept)
        self.ids = torch.cat([self.ids, ids], dim=1).gather(1, kept[:, :, None].expand(-1, -1, self.ids.shape[2]))

    def hypotheses(self) -> list[list[Hypothesis]]:
        """What is there, per prompt, best first."""
        columns = (self.scores.tolist(), self.log_probs.tolist(), self.ids.tolist(), self.is_there.tolist())
        return [
            [
                Hypothesis([token for token in ids if token >= 0], log_prob, score)
                for score, log_prob, ids, is_there in zip(*row, strict=True)
                if is_there
            ]
            for row in zip(*columns, strict=True)
        ]


def is_hopeless(batch: Batch, pool: Pool, best: torch.Tensor, step: int) -> torch.Tensor:
    """(prompts,) whether the pool is full and no running hypothesis of total `best` can be expected to enter.

    By the rule of `early_stopping`: at once, judged at the present length, or judged at the length that suits it best.
    """
    s = batch.strategy
    if s.early_stopping is True:
        return pool.is_full
    length = batch.limits.max_new if s.early_stopping == "never" and s.length_penalty > 0 else step + 1
    bound: torch.Tensor = best.double() / length**s.length_penalty
    return pool.is_full & (pool.worst >= bound)


def beam_search(batch: Batch) -> list[list[Hypothesis]]:
    """`num_return_sequences` hypotheses per prompt, best first."""
    return _Beams(batch).run()


class _Beams:
    """The running hypotheses of a batch; rows of the stepper are (prompt, group, beam) in this order."""

    def __init__(self, batch: Batch) -> None:
        s = batch.strategy
        self.batch, self.stepper, self.max_new = batch, batch.stepper, batch.limits.max_new
        self.eos = batch.eos
        self.num_beams, self.num_groups = s.num_beams, s.num_beam_groups
        self.size = s.num_beams // s.num_beam_groups
        # As transformers: every beam may end in each EOS token, and as many candidates must be left to go on with.
        self.num_candidates = max(2, 1 + len(batch.tokens.eos)) * self.size
        prompts, device = self.stepper.num_rows, batch.device
        self.keys = batch.keys[:, 0]
        self.places = torch.arange(prompts, device=device)
        """(prompts,) which prompt of the batch each is that has not left."""
        self.found: list[list[Hypothesis]] = [[] for _ in range(prompts)]
        """What was found for the prompts that have left."""
        self.pools = [Pool.empty(prompts, self.size, self.max_new, device) for _ in range(self.num_groups)]
        self.is_done = torch.zeros(prompts, self.num_groups, dtype=torch.bool, device=device)
        # Only the first beam of a group counts at the start, or all beams would be the same.
        self.scores = torch.full((prompts, self.num_groups, self.size), NONE, device=device)
        self.scores[:, :, 0] = 0.0
        self.log_probs = torch.zeros(prompts, self.num_groups, self.size, dtype=torch.float64, device=device)

    def run(self) -> list[list[Hypothesis]]:
        logits = self.stepper.prefill()
        self.stepper.fan_out(self.num_beams)
        logits = logits.repeat_interleave(self.num_beams, dim=0)
        for step in range(self.max_new):
            tokens, parents = self.advance(logits.log_softmax(dim=1), step)
            if step + 1 == self.max_new or self.stepper.is_true(self.is_done.all()):
                self.finish(tokens, parents)
                break
            self.stepper.reorder(parents)
            logits = self.stepper.step(self.leave(tokens))
        self.stepper.mark()
        self.keep_best()
        return self.found

    def leave(self, tokens: torch.Tensor) -> torch.Tensor:
        """Let prompts that are done leave if they are many; of `tokens` (rows,) those of the prompts that stay."""
        kept = self.batch.staying(self.is_done.all(dim=1))
        if kept is None:
            return tokens
        self.keep_best()
        self.stepper.keep_prompts(kept, self.num_beams)
        self.pools = [pool.select(kept) for pool in self.pools]
        self.is_done, self.scores, self.log_probs = self.is_done[kept], self.scores[kept], self.log_probs[kept]
        self.keys, self.places = self.keys[kept], self.places[kept]
        return tokens.view(-1, self.num_beams)[kept].flatten()

    def advance(self, log_probs: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose the next token and the parent row of every row: two (rows,) tensors."""
        prompts = len(self.is_done)
        shape = (prompts, self.num_groups, self.size)
        by_group = log_probs.view(*shape, -1)
        tokens = torch.zeros(shape, dtype=torch.long, device=self.batch.device)
        parents = torch.zeros_like(tokens)
        for group in range(self.num_groups):
            tokens[:, group], parents[:, group] = self.advance_group(group, by_group[:, group], tokens[:, :group], step)
        first_rows = torch.arange(prompts * self.num_groups, device=self.batch.device).view(prompts, -1, 1) * self.size
        return tokens.flatten(), (parents + first_rows).flatten()

    def advance_group(
        self, group: int, log_probs: torch.Tensor, earlier: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of one group of every prompt.

        `log_probs` (prompts, size, vocabulary) are the model's, `earlier` (prompts, groups before, size) the tokens
        that the groups before have just chosen. Returns tokens and parents within the group, both (prompts, size).
        """
        vocabulary = log_probs.shape[2]
        totals = self.processed(group, log_probs, earlier) + self.scores[:, group, :, None]
        found, flat = self.candidates(totals.flatten(1), step)  # (prompts, candidates)
        parents, tokens = flat // vocabulary, flat % vocabulary
        own = self.log_probs[:, group].gather(1, parents) + log_probs.flatten(1).gather(1, flat).double()
        is_closed = torch.isin(tokens, self.eos)
        is_grouped = self.num_groups > 1
        if step + 1 == self.max_new and not is_grouped:
            is_closed = torch.ones_like(is_closed)
        self.collect(group, found, own, parents, tokens, is_closed, step)
        running, order = (found + is_closed * NONE).topk(self.size, dim=1)
        tokens, parents = tokens.gather(1, order), parents.gather(1, order)
        # A group that is done goes on as padding, which later groups see.
        was_done = self.is_done[:, group, None]
        tokens = torch.where(was_done, self.batch.tokens.pad, tokens)
        self.scores[:, group], self.log_probs[:, group] = running, own.gather(1, order)
        # transformers 4 (groups) judges by the best candidate, EOS included; 5 by the best that runs on.
        best = found[:, 0] if is_grouped else running[:, 0]
        self.is_done[:, group] |= is_hopeless(self.batch, self.pools[group], best, step)
        return tokens, parents

    def processed(self, group: int, log_probs: torch.Tensor, earlier: torch.Tensor) -> torch.Tensor:
        """(prompts, size, vocabulary) scores of a group after the processors and the diversity penalty."""
        if self.num_groups == 1:
            return self.batch.process(log_probs.flatten(0, 1)).view(log_probs.shape)
        prompts, size, vocabulary = log_probs.shape
        counts = log_probs.new_zeros(prompts, vocabulary)
        chosen = earlier.flatten(1)
        # Vijayakumar et al. (2018), Hamming diversity: how many earlier groups chose each token.
        counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=counts.dtype))
        penalty = (counts * self.batch.strategy.diversity_penalty).repeat_interleave(size, dim=0)
        rows = torch.arange(self.stepper.num_rows, device=self.batch.device).view(prompts, self.num_groups, size)
        processed = self.batch.process(log_probs.flatten(0, 1), penalty, rows[:, group].flatten())
        return processed.view(log_probs.shape)

    def candidates(self, totals: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The best, or drawn without replacement, entries of (prompts, beams * vocabulary): scores and flat indices."""
        if not self.batch.strategy.do_sample:
            return totals.topk(self.num_candidates, dim=1)
        # The largest of log p + Gumbel noise are a draw without replacement, in the order of the draws.
        noise = -torch.log(-torch.log(uniforms(self.keys, step, totals.shape[1])))
        drawn = (totals.double() + noise).topk(self.num_candidates, dim=1).indices
        return totals.gather(1, drawn), drawn

    def collect(
        self,
        group: int,
        found: torch.Tensor,
        own: torch.Tensor,
        parents: torch.Tensor,
        tokens: torch.Tensor,
        is_closed: torch.Tensor,
        step: int,
    ) -> None:
        """Put the candidates that end here, and rank among the first `size`, into the group's pool."""
        best = slice(0, self.size)
        is_finished = is_closed[:, best] & ~self.is_done[:, group, None] & (found[:, best] > NONE / 2)
        # Sync point where waiting is allowed: most steps end no text, and merging pools is the costlier part.
        if not self.stepper.waits or bool(is_finished.any()):
            # By the number of new tokens, EOS included, as in transformers; Wu et al. (2016) divide otherwise.
            scores = found[:, best].double() / (step + 1) ** self.batch.strategy.length_penalty
            ids = self.group_ids(group).gather(1, parents[:, best, None].expand(-1, -1, step))
            ids = torch.cat([ids, tokens[:, best, None]], dim=2)
            self.pools[group].add(scores, own[:, best], ids, is_finished)

    def group_ids(self, group: int) -> torch.Tensor:
        """(prompts, size, num_new) tokens of a group so far."""
        new = self.stepper.new_ids
        return new.view(len(self.is_done), self.num_groups, self.size, new.shape[1])[:, group]

    def finish(self, tokens: torch.Tensor, parents: torch.Tensor) -> None:
        """Count the running hypotheses of diverse search that reached the limit as finished."""
        if self.num_groups == 1:
            return
        new = torch.cat([self.stepper.new_ids[parents], tokens[:, None]], dim=1)
        new = new.view(len(self.is_done), self.num_groups, self.size, new.shape[1])
        for group, pool in enumerate(self.pools):
            scores = self.scores[:, group].double() / new.shape[3] ** self.batch.strategy.length_penalty
            is_finished = ~self.is_done[:, group, None] & (scores > NONE / 2)
            pool.add(scores, self.log_probs[:, group], new[:, group], is_finished)

    def keep_best(self) -> None:
        """Note the best of what is in the pools, for every prompt that has not left."""
        groups = zip(*(pool.hypotheses() for pool in self.pools), strict=True)
        for place, found in zip(self.places.tolist(), groups, strict=True):
            ordered = sorted(itertools.chain(*found), key=lambda one: -(one.score or 0.0))
            self.found[place] = ordered[: self.batch.strategy.num_return_sequences]
