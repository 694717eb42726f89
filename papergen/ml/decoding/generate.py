"""Text from prompts: batches by length, one algorithm per strategy, and one record per continuation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import GenerationConfig

from papergen.core.errors import PapergenError
from papergen.ml.decoding.batching import batches, idle_length, limits_of, needs_equal, padded
from papergen.ml.decoding.engine import Engine
from papergen.ml.decoding.generations import FinishedBatches, Generation
from papergen.ml.decoding.processors import LengthLimits, Processors
from papergen.ml.decoding.ragged_stepper import RaggedStepper
from papergen.ml.decoding.search import Batch, Hypothesis
from papergen.ml.decoding.speculative import assistant_of, takes_batches
from papergen.ml.decoding.speed import BatchTiming
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.decoding.stream import row_key
from papergen.ml.decoding.tokens import Tokens, tokens_for
from papergen.ml.models import quiet_transformers

_NOT_FOR_THE_MODEL = ("logits_processor", "stopping_criteria", "generation_config", "synced_gpus")
"""Arguments of a custom `generate` that are not the model's."""


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    strategy: Strategy,
    *,
    seed: int,
    batch_size: int,
    device: str | torch.device | None = None,
    progress: Callable[[int, int], None] | None = None,
    timings: list[BatchTiming] | None = None,
    kept: FinishedBatches | None = None,
    engine: Engine | None = None,
    share: slice = slice(None),
) -> list[Generation]:
    """Continue every prompt (token ids): `num_return_sequences` generations per prompt, in the order of the prompts.

    A continuation depends on (prompt, seed, sample index) alone; `batch_size` (prompts per batch) and the order of the
    prompts change nothing but the speed. (What remains is rounding: a model's logits may differ in their last bits
    with the shape of the batch, which decides a token only where two are as good as tied.) `tokenizer` may be None:
    the texts are then empty. `progress(done, total)` is called at every step and counts tokens, as if every text ran to
    its limit; `timings` collects one record per batch. What `kept` holds is not generated again, and what is finished
    is added to it. `engine` says how steps are run, which decides the speed; one that is given again saves the work
    that a model's first batch is for it. `share` says which of the batches, longest first, are this process's: those of
    the other ranks are made by them, and what is returned lacks them.

    Raises PapergenError when a prompt is empty or too long for the model, or the strategy does not fit the model.
    """
    assert batch_size >= 1, "a batch has at least one prompt"
    device = torch.device(device) if device is not None else model.device
    assert device.type == model.device.type, f"the model is on {model.device}, not on {device}"
    model.eval()
    tokens = tokens_for(strategy, model, tokenizer)
    assistant = None if strategy.assistant_model is None else assistant_of(strategy.assistant_model, model)
    limits = [limits_of(index, prompt, strategy, model) for index, prompt in enumerate(prompts)]
    if fault := idle_length(strategy, limits):
        raise PapergenError(fault, hint="It counts the prompt's tokens. Try min_new_tokens.")
    for index, prompt in enumerate(prompts if assistant is not None else ()):
        limits_of(index, prompt, strategy, assistant)
    algorithm = strategy.algorithm
    one_row = algorithm.num_drafts(strategy) > 0 and not takes_batches(model, assistant)
    layers = algorithm.contrast_layers(strategy, model)
    num_streams = 1 if algorithm.is_search else strategy.num_return_sequences
    found: dict[int, list[Generation]] = {} if kept is None else dict(kept.generations)
    if timings is not None and kept is not None:
        timings += kept.timings
    is_own, engine = engine is None, engine or Engine()
    pending = [index for index in range(len(prompts)) if index not in found]
    width = 1 if one_row else batch_size
    # Whole batches are dealt, so that a text's batch is the same one at any number of ranks.
    own = list(batches(pending, prompts, limits, batch_size=width, exact=needs_equal(model)))[share]
    num_kept = sum(limits[index].max_new for index in found)
    num_wanted = sum(limits[index].max_new for indices in own for index in indices)
    overall = OverallProgress(progress, num_kept + num_wanted, num_kept)
    for indices in own:
        keys = [[row_key(seed, prompts[index], sample) for sample in range(num_streams)] for index in indices]
        chosen = [prompts[index] for index in indices]
        with torch.inference_mode(), quiet_transformers():
            parts = [
                _run(model, chosen, strategy, tokens, limits[indices[0]], part, layers, assistant, engine, overall)
                for part in ([[[key]] for key in keys[0]] if one_row else [keys])
            ]
        hypotheses, timing = _joined(parts)
        batch = {
            index: [
                _generation(index, sample, hypothesis, tokens, tokenizer, timing)
                for sample, hypothesis in enumerate(group)
            ]
            for index, group in zip(indices, hypotheses, strict=True)
        }
        found |= batch
        timing = replace(timing, num_tokens=sum(len(one.ids) for group in batch.values() for one in group))
        if timings is not None:
            timings.append(timing)
        if kept is not None:
            kept.add(batch, timing)
        overall.finish(len(indices) * limits[indices[0]].max_new)
    if is_own:
        engine.release()
    return [generation for index in sorted(found) for generation in found[index]]


class OverallProgress:
    """Tells how far all batches together have come."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int, done: int) -> None:
        self._progress, self._total, self._done = progress, total, done

    def step(self, num_tokens: int) -> None:
        """So many tokens of the present batch are known."""
        if self._progress is not None:
            self._progress(self._done + num_tokens, self._total)

    def finish(self, num_tokens: int) -> None:
        """The batch, which could have had so many, is finished."""
        self._done += num_tokens
        self.step(0)


def _run(
    model: Any,
    prompts: Sequence[Sequence[int]],
    strategy: Strategy,
    tokens: Tokens,
    limits: LengthLimits,
    keys: list[list[int]],
    layers: tuple[int, ...] | None,
    assistant: Any | None,
    engine: Engine,
    overall: OverallProgress,
) -> tuple[list[list[Hypothesis]], BatchTiming]:
    """One batch: transformers prepares masks, positions, cache and encoder states, our search does the rest."""
    algorithm = strategy.algorithm
    inputs = padded(prompts, tokens.pad, model)
    found: list[list[list[Hypothesis]]] = []
    marks: list[float] = []

    def decode(model: Any, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        for name in _NOT_FOR_THE_MODEL:
            kwargs.pop(name, None)
        stepper = engine.stepper(
            model,
            input_ids,
            kwargs,
            max_new=limits.max_new,
            wants_hidden=algorithm.needs_hidden_states,
            layers=layers,
            has_drafts=algorithm.num_drafts(strategy) > 0,
            fan=algorithm.rows_per_prompt(strategy, tokens.vocabulary_size),
        )
        stepper.on_step = lambda num_new: overall.step(num_new * len(prompts))
        batch = Batch(
            stepper=stepper,
            strategy=strategy,
            tokens=tokens,
            limits=limits,
            processors=Processors(strategy, tokens, limits, input_ids.device),
            keys=torch.tensor(keys, dtype=torch.long, device=input_ids.device),
            assistant=helper,
        )
        found.append(algorithm.search(batch))
        marks.extend(batch.stepper.marks)
        return input_ids

    start = time.perf_counter()
    helper = None if assistant is None else _prepared(assistant, inputs, strategy, tokens, limits)
    # `custom_generate` hands over after the preparation, which differs between architectures; the search is ours.
    model.generate(**inputs, generation_config=_plain_config(model, strategy, tokens, limits), custom_generate=decode)
    end, kind = time.perf_counter(), engine.step_kind
    timing = BatchTiming(
        num_prompts=len(prompts),
        num_tokens=0,
        start_s=start,
        token_s=tuple(marks) or (end,),
        end_s=end,
        cache_implementation=kind.cache_implementation,
        step=kind.step,
        step_reason=kind.reason,
    )
    return found[0], timing


def _prepared(
    assistant: Any, inputs: dict[str, torch.Tensor], strategy: Strategy, tokens: Tokens, limits: LengthLimits
) -> RaggedStepper:
    """The assistant on the prompts of a batch, before its prefill."""
    found: list[RaggedStepper] = []

    def take(model: Any, input_ids: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        for name in _NOT_FOR_THE_MODEL:
            kwargs.pop(name, None)
        found.append(RaggedStepper(model, input_ids, kwargs, max_new=limits.max_new))
        return input_ids

    config = _plain_config(assistant, strategy, tokens, limits)
    assistant.generate(**inputs, generation_config=config, custom_generate=take)
    return found[0]


def _joined(
    parts: Sequence[tuple[list[list[Hypothesis]], BatchTiming]],
) -> tuple[list[list[Hypothesis]], BatchTiming]:
    """What was found for the same prompts in several runs, one after the other, as that of one batch."""
    hypotheses = [
        [one for group in groups for one in group] for groups in zip(*(found for found, _ in parts), strict=True)
    ]
    timings = [timing for _, timing in parts]
    marks = tuple(mark for timing in timings for mark in timing.token_s)
    return hypotheses, replace(timings[0], token_s=marks, end_s=timings[-1].end_s)


def _plain_config(model: Any, strategy: Strategy, tokens: Tokens, limits: LengthLimits) -> GenerationConfig:
    """What transformers needs to prepare a batch; all that decides the text is ours."""
    own = model.generation_config
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=limits.max_new,
        do_sample=False,
        num_beams=1,
        num_return_sequences=1,
        use_cache=strategy.use_cache,
        pad_token_id=tokens.pad,
        eos_token_id=list(tokens.eos) or None,
        bos_token_id=own.bos_token_id,
        decoder_start_token_id=own.decoder_start_token_id,
    )


def _generation(
    prompt_index: int, sample_index: int, found: Hypothesis, tokens: Tokens, tokenizer: Any, timing: BatchTiming
) -> Generation:
    ids = found.ids
    end = next((place for place, token in enumerate(ids) if token in tokens.eos), None)
    ids = ids if end is None else ids[: end + 1]
    assert found.log_prob is not None, "every algorithm reports the log-probability of what it found"
    return Generation(
        prompt_index=prompt_index,
        sample_index=sample_index,
        ids=tuple(ids),
        text="" if tokenizer is None else tokenizer.decode(ids, skip_special_tokens=True),
        finish="length" if end is None else "eos",
        log_prob=found.log_prob,
        score=found.score,
        is_met=found.is_met,
        num_drafted=found.num_drafted,
        num_accepted=found.num_accepted,
        num_passes=found.num_passes,
        time_to_first_token_s=timing.token_s[0] - timing.start_s,
        duration_s=timing.end_s - timing.start_s,
    )
