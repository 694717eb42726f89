"""One batch of sequences under one model: a prefill, then one forward pass per step, over rows that can move."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


class Stepper:
    """Drives `model` over `ids`; every search of this room works on top of it.

    `kwargs` are the model's inputs as `generate` prepared them (mask, positions, cache, encoder outputs). Prompts are
    prefilled once and multiplied afterwards, so beams and samples share the prefill. Works for decoder-only and
    encoder-decoder models, with and without cache.
    """

    def __init__(self, model: Any, ids: torch.Tensor, kwargs: dict[str, Any], *, wants_hidden: bool = False) -> None:
        self.model = model
        self.ids = ids
        """(rows, width) tokens so far, left padding included."""
        self.prompt_width = ids.shape[1]
        self.on_step: Callable[[int], None] = lambda _: None
        """Called with the number of new tokens when one is known."""
        self.marks: list[float] = []
        """Clock readings, in seconds: one when each token of the batch was known."""
        self.hidden: tuple[torch.Tensor, ...] = ()
        """Hidden states of the last forward pass where asked for, one (rows, positions, size) per layer."""
        self.plain: torch.Tensor | None = None
        """The model's own logits of the last step, where `prefill` and `step` return others."""
        self._kwargs = kwargs
        self._wants_hidden = wants_hidden
        self.is_encoder_decoder = bool(model.config.is_encoder_decoder)
        mask = None if self.is_encoder_decoder else kwargs.get("attention_mask")
        self.pads = ids.new_zeros(len(ids)) if mask is None else (mask == 0).sum(dim=1)
        """(rows,) number of padding tokens on the left."""

    @property
    def num_rows(self) -> int:
        """Sequences in the batch at the moment."""
        return len(self.ids)

    @property
    def num_new(self) -> int:
        """Tokens generated so far."""
        return self.ids.shape[1] - self.prompt_width

    @property
    def new_ids(self) -> torch.Tensor:
        """(rows, num_new) tokens generated so far."""
        return self.ids[:, self.prompt_width :]

    def prefill(self) -> torch.Tensor:
        """Run the prompts; (rows, vocabulary) float32 logits of the first new token."""
        inputs = self.model.prepare_inputs_for_generation(self.ids, is_first_iteration=True, **self._kwargs)
        return self._forward(inputs)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append `tokens` (rows,) and run them; (rows, vocabulary) float32 logits of the next token."""
        self.mark()
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        length = 1 if self._kwargs.get("use_cache", True) else None
        inputs = self.model.prepare_inputs_for_generation(self.ids, next_sequence_length=length, **self._kwargs)
        return self._forward(inputs)

    def mark(self) -> None:
        """Note that the batch's next token is known now."""
        self.marks.append(time.perf_counter())
        self.on_step(len(self.marks))

    def select(self, index: torch.Tensor) -> None:
        """Keep, repeat or reorder rows: row i becomes the old row `index[i]`, in the cache and everywhere else."""
        self._reorder_cache(index, is_same_prompt=False)
        self.ids = self.ids[index]
        self.pads = self.pads[index]
        self._kwargs = {name: _selected(name, value, index) for name, value in self._kwargs.items()}

    def reorder(self, index: torch.Tensor) -> None:
        """`select` for an `index` that keeps every row within its prompt, whose mask and encoder states stay put."""
        self._reorder_cache(index, is_same_prompt=True)
        self.ids = self.ids[index]

    def _forward(self, inputs: dict[str, Any]) -> torch.Tensor:
        if self._wants_hidden:
            inputs["output_hidden_states"] = True
        outputs = self.model(**inputs, return_dict=True)
        self._kwargs = self.model._update_model_kwargs_for_generation(
            outputs, self._kwargs, is_encoder_decoder=self.is_encoder_decoder
        )
        if self._wants_hidden:
            self.hidden = outputs.decoder_hidden_states if self.is_encoder_decoder else outputs.hidden_states
        logits: torch.Tensor = outputs.logits[:, -1]
        return logits.float()

    def _reorder_cache(self, index: torch.Tensor, *, is_same_prompt: bool) -> None:
        # By what it can do: its name has been past_key_values, cache_params, state and, since 5.24, cache.
        for cache in self._kwargs.values():
            if not hasattr(cache, "reorder_cache"):
                continue
            if is_same_prompt and hasattr(cache, "self_attention_cache"):
                # All hypotheses of a prompt share its encoder states: moving the cross-attention cache would be waste.
                cache.self_attention_cache.reorder_cache(index)
            else:
                cache.reorder_cache(index)


def _selected(name: str, value: Any, index: torch.Tensor) -> Any:
    if name == "encoder_outputs":
        for key, states in value.items():
            if isinstance(states, torch.Tensor):
                value[key] = states[index]
        return value
    if isinstance(value, torch.Tensor) and value.ndim > 0:
        # Positions of some models are (axes, rows, length).
        return value[:, index] if name == "position_ids" and value.ndim == 3 else value[index]
    return value
