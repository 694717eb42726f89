"""Prompts in batches: the lengths that each may have, who runs with whom, and the padded tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding.processors import LengthLimits
from papergen.ml.decoding.strategy import Strategy


def limits_of(index: int, prompt: Sequence[int], strategy: Strategy, model: Any) -> LengthLimits:
    """The strategy's lengths in new tokens for this prompt; PapergenError when they do not fit it or the model."""
    if not prompt:
        raise PapergenError(
            f"Prompt {index} has no tokens.", hint="Give at least one, for example the model's BOS or EOS token."
        )
    is_encoder_decoder = bool(model.config.is_encoder_decoder)
    # The decoder of an encoder-decoder model starts from one token of its own; the prompt is not in its length.
    start = 1 if is_encoder_decoder else len(prompt)
    max_new = strategy.max_new_tokens or (strategy.max_length or 0) - start
    if max_new < 1:
        raise PapergenError(
            f"Prompt {index} has {len(prompt)} tokens, and max_length = {strategy.max_length} counts them: no room.",
            hint="Give max_new_tokens instead, or a larger max_length.",
        )
    min_new = max(strategy.min_new_tokens or 0, (strategy.min_length or 0) - start, 0)
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    needed = max(len(prompt), 1 + max_new) if is_encoder_decoder else len(prompt) + max_new
    if window is not None and needed > window:
        raise PapergenError(
            f"Prompt {index} has {len(prompt)} tokens; {max_new} more exceed the model's {window} positions.",
            hint=f"Cut the prompts to {window - max_new} tokens or lower max_new_tokens.",
        )
    if min_new > max_new:
        asked = "min_length" if min_new > (strategy.min_new_tokens or 0) else "min_new_tokens"
        raise PapergenError(
            f"Prompt {index} has {len(prompt)} tokens: {asked} = {getattr(strategy, asked)} asks for {min_new} new ones"
            f" where {max_new} may be.",
            hint=f"Lower {asked}, or raise the limit.",
        )
    return LengthLimits(max_new=max_new, min_new=min_new)


def idle_length(strategy: Strategy, limits: Sequence[LengthLimits]) -> str | None:
    """Why min_length changes nothing for any of these prompts; None when it does, or is not asked for."""
    least = strategy.min_new_tokens or 0
    if strategy.min_length is None or not limits or any(limit.min_new > least for limit in limits):
        return None
    return f"min_length = {strategy.min_length} is reached by every prompt and min_new_tokens = {least} already."


def needs_equal(model: Any) -> bool:
    """Whether the prompts of a batch must have one length: a recurrent model would take padding for text."""
    # Private: transformers marks Mamba and its like so; there is no public question for it.
    return bool(getattr(model, "_is_stateful", False))


def batches(
    pending: Sequence[int],
    prompts: Sequence[Sequence[int]],
    limits: Sequence[LengthLimits],
    *,
    batch_size: int,
    exact: bool,
) -> Iterator[list[int]]:
    """Indices of the prompts of each batch: same limits, neighbouring lengths, longest first."""
    order = sorted(pending, key=lambda i: (-limits[i].max_new, limits[i].min_new, -len(prompts[i]), i))
    batch: list[int] = []
    for index in order:
        fits = not batch or (
            limits[index] == limits[batch[0]] and (not exact or len(prompts[index]) == len(prompts[batch[0]]))
        )
        if not fits or len(batch) == batch_size:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def padded(prompts: Sequence[Sequence[int]], pad: int, model: Any) -> dict[str, torch.Tensor]:
    """(prompts, width) ids and mask; padding on the left, or on the right for an encoder."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        text = slice(0, len(prompt)) if model.config.is_encoder_decoder else slice(width - len(prompt), width)
        ids[row, text] = torch.tensor(prompt, dtype=torch.long)
        mask[row, text] = 1
    return {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
