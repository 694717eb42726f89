"""Lexically constrained beam search: forced words and phrases among the new tokens.

Two searches of `num_beams` hypotheses run side by side over each prompt and share every forward pass. The one with
dynamic beam allocation (`dynamic_allocation.py`) guarantees the words; the one with legacy allocation
(`legacy_allocation.py`) is that of transformers' last release with this search, which may lose words but sometimes
finds likelier text. What either finds is judged by the same rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

import torch

from papergen.ml.decoding.beam import Pool
from papergen.ml.decoding.constraints import Constraints
from papergen.ml.decoding.dynamic_allocation import DynamicAllocation
from papergen.ml.decoding.legacy_allocation import LegacyAllocation
from papergen.ml.decoding.search import Batch, Hypothesis


def constrained_search(batch: Batch) -> list[list[Hypothesis]]:
    """`num_return_sequences` distinct hypotheses per prompt: those with all forced words first, then by score."""
    stepper, max_new, num_beams = batch.stepper, batch.limits.max_new, batch.strategy.num_beams
    constraints = Constraints(batch.tokens.forced, batch.tokens.vocabulary_size, batch.device)
    logits = stepper.prefill()
    dynamic, legacy = DynamicAllocation(batch, constraints), LegacyAllocation(batch)
    beams: tuple[DynamicAllocation | LegacyAllocation, ...] = (dynamic, legacy)
    prompts, vocabulary = logits.shape
    num_rows = len(beams) * num_beams
    stepper.fan_out(num_rows)
    logits = logits.repeat_interleave(num_rows, dim=0)
    places = torch.arange(prompts, device=batch.device)
    found: list[list[Hypothesis]] = [[] for _ in range(prompts)]

    def keep_best() -> None:
        pools = [_judged(pool, constraints) for beam in beams for pool in beam.pools]
        for place, groups in zip(places.tolist(), zip(*pools, strict=True), strict=True):
            found[place] = _best(itertools.chain(*groups), batch.strategy.num_return_sequences)

    for step in range(max_new):
        shape = (len(places), len(beams), num_beams)
        log_probs = logits.log_softmax(dim=1)
        processed = batch.process(log_probs).view(*shape, vocabulary)
        log_probs, new = log_probs.view(*shape, vocabulary), stepper.new_ids.view(*shape, step)
        chosen = [
            beam.advance(log_probs[:, number], processed[:, number], new[:, number], step)
            for number, beam in enumerate(beams)
        ]
        legacy.give_up(dynamic.met, step)
        is_done = torch.stack([beam.is_done for beam in beams]).all(dim=0)
        if step + 1 == max_new or stepper.is_true(is_done.all()):
            break
        tokens, parents = (torch.stack(each, dim=1) for each in zip(*chosen, strict=True))
        first_rows = torch.arange(len(places) * len(beams), device=batch.device).view(len(places), -1, 1) * num_beams
        stepper.reorder((parents + first_rows).flatten())
        kept = batch.staying(is_done)
        if kept is not None:
            keep_best()
            stepper.keep_prompts(kept, num_rows)
            for beam in beams:
                beam.select(kept)
            places, tokens = places[kept], tokens[kept]
        logits = stepper.step(tokens.flatten())
    stepper.mark()
    keep_best()
    return found


def _judged(pool: Pool, constraints: Constraints) -> list[list[Hypothesis]]:
    """The pool's hypotheses per prompt, each with whether its new tokens have all forced words."""
    progress = constraints.start(*pool.scores.shape)
    for place in range(pool.ids.shape[2]):
        tokens = pool.ids[:, :, place]
        later = constraints.advance(progress, tokens.clamp(min=0))
        is_text = tokens[:, :, None] >= 0
        progress = replace(
            progress,
            matched=torch.where(is_text, later.matched, progress.matched),
            is_met=torch.where(is_text, later.is_met, progress.is_met),
        )
    is_met = (constraints.needed(progress) == 0) & pool.is_there
    flags = [[flag for flag, is_there in zip(*row, strict=True) if is_there] for row in _rows(is_met, pool.is_there)]
    return [
        [replace(hypothesis, is_met=flag) for hypothesis, flag in zip(group, own, strict=True)]
        for group, own in zip(pool.hypotheses(), flags, strict=True)
    ]


def _rows(*tensors: torch.Tensor) -> list[tuple[list[bool], ...]]:
    return list(zip(*(tensor.tolist() for tensor in tensors), strict=True))


def _best(found: Iterable[Hypothesis], count: int) -> list[Hypothesis]:
    """The first `count` distinct hypotheses, met ones first, best first."""
    ordered = sorted(found, key=lambda hypothesis: (not hypothesis.is_met, -(hypothesis.score or 0.0)))
    seen: dict[tuple[int, ...], Hypothesis] = {}
    for hypothesis in ordered:
        seen.setdefault(tuple(hypothesis.ids), hypothesis)
    return list(seen.values())[:count]
