"""A batch whose rows go forward by different numbers of tokens: each forward pass runs a window of tokens per row."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from papergen.core.errors import PapergenError
from papergen.ml.decoding.stepper import Stepper, cache_name

_MASKED_AS_TOLD = {"sdpa", "eager"}
"""Implementations of attention that take any mask."""


class RaggedStepper(Stepper):
    """A stepper that, after the prefill, takes `run` in place of `step`.

    A row's tokens lie side by side in the cache, so that whatever comes after them (rejected drafts) is written over by
    the row's next window; until then the mask, one per token of the window, hides it. Nothing has to be moved, and rows
    need not agree on how many tokens they keep. A model that cannot be told such a mask takes one row at a time: its
    cache is cut back to what the row has kept.
    """

    def __init__(self, model: Any, ids: torch.Tensor, kwargs: dict[str, Any], *, max_new: int) -> None:
        super().__init__(model, ids, kwargs, max_new=max_new)
        self._room = self.prompt_width + max_new
        self._is_ragged = takes_ragged_rows(model)
        assert self._is_ragged or len(ids) == 1, "such a model takes one row at a time"
        assert not self._is_ragged or self._cache_layers, "takes_ragged_rows has looked at the model's cache"

    def prefill(self) -> torch.Tensor:
        """Run the prompts; (rows, vocabulary) float32 logits of the first new token."""
        logits = super().prefill()
        if self._is_ragged:
            for layer in self._cache_layers:
                layer.begin_ragged()
            return logits
        cache = self._cache
        if not getattr(cache, "is_croppable", True):
            raise PapergenError(
                f"{type(self.model).__name__} cannot take back tokens that it has read, which drafts need.",
                hint="Leave out assistant_model and prompt_lookup_num_tokens for this model.",
            )
        if hasattr(cache, "activate_past_recording"):
            cache.activate_past_recording()
        return logits

    def run(self, tokens: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        """Logits (rows, window, vocabulary) after each of `tokens` (rows, window), which stand at `starts` (rows,).

        Positions count the padding; what a row had from its start on is forgotten. A row whose window reaches past the
        room of its longest text gets logits of no meaning there.
        """
        inputs = self._ragged_inputs(tokens, starts) if self._is_ragged else self._one_row(tokens, int(starts))
        logits: torch.Tensor = self.model(**inputs, return_dict=True).logits
        return logits

    @property
    def _cache(self) -> Any:
        return self._kwargs[cache_name(self._kwargs)]

    def _ragged_inputs(self, tokens: torch.Tensor, starts: torch.Tensor) -> dict[str, Any]:
        reach = torch.arange(tokens.shape[1], device=tokens.device)
        # The last column is never read: it holds the token that ends the longest text.
        columns = (starts[:, None] + reach).clamp(max=self._room - 1)  # (rows, window)
        live = min(int(starts.max()) + tokens.shape[1], self._room)
        places = torch.arange(live, device=tokens.device)
        is_seen = (places >= self.pads[:, None, None]) & (places <= columns[:, :, None])
        # (rows, 1, window, live), added to the scores of attention
        mask = torch.zeros(is_seen.shape, dtype=self.model.dtype, device=tokens.device)
        mask = mask.masked_fill_(~is_seen, torch.finfo(mask.dtype).min)[:, None]
        for layer in self._cache_layers:
            layer.place(columns, live)
        return {
            "input_ids": tokens,
            "attention_mask": mask,
            "position_ids": columns - self.pads[:, None],
            "use_cache": True,
            cache_name(self._kwargs): self._cache,
        }

    def _one_row(self, tokens: torch.Tensor, start: int) -> dict[str, Any]:
        own = getattr(self._cache, "self_attention_cache", self._cache)
        if own.get_seq_length() > start:
            own.crop(start - own.get_seq_length())
        width = start + tokens.shape[1]
        kwargs = dict(self._kwargs)
        kwargs.pop("logits_to_keep", None)  # which `generate` sets to the last position
        mask, positions = "attention_mask", "position_ids"
        if self.is_encoder_decoder:
            mask, positions = f"decoder_{mask}", f"decoder_{positions}"
        if kwargs.get(mask) is not None:
            kwargs[mask] = kwargs[mask].new_ones(1, width)  # one row has no padding
        if kwargs.get(positions) is not None:
            count = torch.arange(width, device=tokens.device)
            kwargs[positions] = count.expand(*kwargs[positions].shape[:-1], width)
        found: dict[str, Any] = self.model.prepare_inputs_for_generation(
            tokens, next_sequence_length=tokens.shape[1], **kwargs
        )
        return found


def takes_ragged_rows(model: Any) -> bool:
    """Whether rows of a batch may differ in length, told by mask and positions alone.

    Not so in an encoder-decoder model, whose decoder counts positions by the length of the cache, in one that makes
    positions out of a plain mask (ALiBi), or where a layer does not keep all of the past.
    """
    config = model.config
    if config.is_encoder_decoder or getattr(config, "alibi", False):
        return False
    # Private: the attention that the model really uses; flash attention takes no mask of our own.
    if getattr(config, "_attn_implementation", None) not in _MASKED_AS_TOLD:
        return False
    if "position_ids" not in inspect.signature(model.forward).parameters or getattr(model, "_is_stateful", False):
        return False
    layers = DynamicCache(config=config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
