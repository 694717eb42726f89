"""Greedy decoding and sampling: one token per row and step, rows that ended leave the batch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from papergen.ml.decoding.search import OPEN_SHARE, Batch, Hypothesis
from papergen.ml.decoding.stream import uniforms

BLOCK = 128
"""Tokens whose probabilities are added up at a time: a drawn number is sought among the sums, then within one block."""


Choose = Callable[[torch.Tensor], torch.Tensor]
"""Processed scores (rows, vocabulary) -> the token of each row (rows,)."""


def likeliest(scores: torch.Tensor) -> torch.Tensor:
    """The `Choose` of greedy decoding."""
    return scores.argmax(dim=1)


def sample(batch: Batch, choose: Choose = likeliest) -> list[list[Hypothesis]]:
    """A token per step by `choose`, or a drawn one where the strategy draws; one hypothesis per stream of each prompt.

    Sampling inverts the cumulative distribution, in token order, at the stream's number for the step: the choice
    changes only when that number lies within rounding of a boundary, so it does not follow the noise of the batch's
    shape (in order of probability, two tokens that change places would).
    """
    stepper, limits, eos = batch.stepper, batch.limits, batch.eos
    num_prompts, num_samples = batch.keys.shape
    logits = stepper.prefill()
    if num_samples > 1:
        repeated = torch.arange(num_prompts, device=batch.device).repeat_interleave(num_samples)
        stepper.select(repeated)
        logits = logits[repeated]
        stepper.plain = None if stepper.plain is None else stepper.plain[repeated]
    keys = batch.keys.flatten()
    rows = torch.arange(len(keys), device=batch.device)
    """Which output each row of the batch writes."""
    ids = torch.full((len(keys), limits.max_new), -1, dtype=torch.long, device=batch.device)
    log_probs = torch.zeros(len(keys), dtype=torch.float64, device=batch.device)
    is_open = torch.ones(len(keys), dtype=torch.bool, device=batch.device)
    for step in range(limits.max_new):
        scores = batch.process(logits)
        tokens = draw(scores, uniforms(keys[rows], step, 1)) if batch.strategy.do_sample else choose(scores)
        plain = logits if stepper.plain is None else stepper.plain
        chosen = plain.gather(1, tokens[:, None])[:, 0].double() - plain.logsumexp(dim=1).double()
        log_probs[rows] += torch.where(is_open, chosen, 0.0)
        ids[rows, step] = torch.where(is_open, tokens, -1)
        is_open &= ~torch.isin(tokens, eos)
        # Sync point: nothing is lost by it with a cache that grows; steps of static shape go without.
        num_open = int(is_open.sum())
        if num_open == 0 or step + 1 == limits.max_new:
            break
        if num_open <= OPEN_SHARE * len(rows):
            kept = is_open.nonzero()[:, 0]
            stepper.select(kept)
            rows, tokens, is_open = rows[kept], tokens[kept], is_open[kept]
        logits = stepper.step(tokens)
    stepper.mark()
    found = [
        Hypothesis([token for token in row if token >= 0], log_prob)
        for row, log_prob in zip(ids.tolist(), log_probs.tolist(), strict=True)
    ]
    return [found[start : start + num_samples] for start in range(0, len(found), num_samples)]


def draw(scores: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """The token of each row of `scores` (rows, vocabulary; float32) at the uniform `numbers` (rows, 1): (rows,).

    A token of probability zero is never drawn.
    """
    vocabulary = scores.shape[1]
    shares = scores.softmax(dim=1)
    whole = vocabulary - vocabulary % BLOCK
    sums = [torch.unflatten(shares[:, :whole], 1, (-1, BLOCK)).sum(dim=2), shares[:, whole:].sum(dim=1, keepdim=True)]
    mass = torch.cat(sums, dim=1).double()
    reach = mass.cumsum(dim=1)
    wanted = numbers * reach[:, -1:]
    block = _first_above(reach, wanted)
    places = block * BLOCK + torch.arange(BLOCK, device=scores.device)
    inside = shares.gather(1, places.clamp(max=vocabulary - 1)).masked_fill(places >= vocabulary, 0.0).double()
    before = (reach - mass).gather(1, block)
    return (block * BLOCK + _first_above(inside.cumsum(dim=1), wanted - before))[:, 0]


def _first_above(reach: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The first place (rows, 1) at which the rising sums `reach` (rows, n) exceed `wanted` (rows, 1).

    Rounding may have put `wanted` outside the sums: it is kept below the last, so that there is such a place and it
    adds to the sum, and at 0 at least.
    """
    total = reach[:, -1:]
    kept = torch.minimum(wanted.clamp(min=0.0), torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(reach, kept, right=True)
