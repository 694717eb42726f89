"""One batch of sequences under one model: a prefill, then one forward pass per step, over rows that can move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from papergen.ml.decoding import preallocated_cache
from papergen.ml.decoding.device_reads import DeviceClock

PREFILL_TOKENS = {"cpu": 512}
"""Most tokens of a part of the prefill by device: parts of neighbouring lengths need little padding."""

PREFILL_TOKENS_ELSEWHERE = 16384

_BY_POSITION = {"attention_mask", "position_ids", "token_type_ids"}


class Stepper:
    """Drives `model` over `ids`; every search of this room works on top of it.

    `kwargs` are the model's inputs as `generate` prepared them (mask, positions, cache, encoder outputs). Prompts are
    prefilled once and multiplied afterwards, so beams and samples share the prefill. Works for decoder-only and
    encoder-decoder models, with and without cache.
    """

    waits = True
    """Whether the host may wait for the device within a step, to save the device work."""

    hidden_positions = slice(None)
    """Which positions of the hidden states are kept."""

    def __init__(
        self,
        model: Any,
        ids: torch.Tensor,
        kwargs: dict[str, Any],
        *,
        max_new: int,
        wants_hidden: bool = False,
    ) -> None:
        self.model = model
        self.ids = ids
        """(rows, width) tokens so far, left padding included."""
        self.prompt_width = ids.shape[1]
        self.on_step: Callable[[int], None] = lambda _: None
        """Called with the number of new tokens when one is known."""
        self._clock = DeviceClock(ids.device)
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
        self._cache_layers = self._install(self.prompt_width + max_new)

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

    @property
    def marks(self) -> list[float]:
        """DeviceClock readings, in seconds: one when each token of the batch was known."""
        return self._clock.readings()

    def prefill(self) -> torch.Tensor:
        """Run the prompts; (rows, vocabulary) float32 logits of the first new token."""
        parts = self._parts()
        if len(parts) < 2:
            inputs = self.model.prepare_inputs_for_generation(self.ids, is_first_iteration=True, **self._kwargs)
            return self._forward(inputs)
        logits, hidden = [], []
        for rows, start in parts:
            for layer in self._cache_layers:
                layer.begin_part(rows, start, self.num_rows)
            kwargs = {name: _part(name, value, rows, start) for name, value in self._kwargs.items()}
            ids = self.ids[rows, start:]
            inputs = self.model.prepare_inputs_for_generation(ids, is_first_iteration=True, **kwargs)
            outputs, found = self._call(inputs)
            logits.append(found)
            if self._wants_hidden:
                kept = [states[:, self.hidden_positions] for states in outputs.hidden_states]
                hidden.append([_padded(states, self.prompt_width) if start else states for states in kept])
        for layer in self._cache_layers:
            layer.end_parts(self.prompt_width)
        self._note(outputs)
        if self._wants_hidden:
            self.hidden = tuple(torch.cat(states) for states in zip(*hidden, strict=True))
        return self._scores(torch.cat(logits))

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append `tokens` (rows,) and run them; (rows, vocabulary) float32 logits of the next token."""
        self.mark()
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)
        length = 1 if self._kwargs.get("use_cache", True) else None
        inputs = self.model.prepare_inputs_for_generation(self.ids, next_sequence_length=length, **self._kwargs)
        return self._forward(inputs)

    def mark(self) -> None:
        """Note that the batch's next token is known now."""
        self._clock.mark()
        self.on_step(len(self._clock))

    def is_true(self, flag: torch.Tensor) -> bool:
        """Whether a search may stop: the value of `flag` (), or one that it had a few steps ago."""
        # Sync point: the host waits here for the device, once per step.
        return bool(flag)

    def select(self, index: torch.Tensor) -> None:
        """Keep, repeat or reorder rows: row i becomes the old row `index[i]`, in the cache and everywhere else."""
        self._reorder_cache(index, is_same_prompt=False)
        self.ids = self.ids[index]
        self.pads = self.pads[index]
        self._kwargs = {name: _selected(name, value, index) for name, value in self._kwargs.items()}

    def fan_out(self, num_rows: int) -> None:
        """After the prefill, every prompt becomes so many rows, side by side."""
        self.select(torch.arange(self.num_rows, device=self.ids.device).repeat_interleave(num_rows))

    def keep_prompts(self, kept: torch.Tensor, num_rows: int) -> None:
        """After `fan_out(num_rows)`: the prompts `kept` (n,) go on, with all their rows; the others leave."""
        self.select(rows_of(kept, num_rows))

    def settle(self, best: torch.Tensor) -> None:
        """All rows of a prompt become its row `best` (prompts,); they differed in their last token."""
        num_rows = self.num_rows // len(best)
        first = torch.arange(len(best), device=best.device) * num_rows
        self.reorder((first + best).repeat_interleave(num_rows), num_last=1)

    def reorder(self, index: torch.Tensor, num_last: int | None = None) -> None:
        """`select` for an `index` that keeps every row within its prompt, whose mask and encoder states stay put.

        Rows of a prompt differ in no more than their last `num_last` tokens: all new ones if None.
        """
        if self._cache_layers:
            targets = (index != torch.arange(len(index), device=index.device)).nonzero()[:, 0]
            for layer in self._cache_layers:
                layer.move_ends(targets, index[targets], self.num_new if num_last is None else num_last)
        else:
            self._reorder_cache(index, is_same_prompt=True)
        self.ids = self.ids[index]

    def _install(self, room: int) -> list[Any]:
        """Put our layers into the cache, with room for so many positions; [] where transformers' own stay."""
        return list(preallocated_cache.install(self._kwargs, room))

    def _forward(self, inputs: dict[str, Any]) -> torch.Tensor:
        outputs, logits = self._call(inputs)
        self._note(outputs)
        if self._wants_hidden:
            found = outputs.decoder_hidden_states if self.is_encoder_decoder else outputs.hidden_states
            self.hidden = tuple(states[:, self.hidden_positions] for states in found)
        return self._scores(logits)

    def _call(self, inputs: dict[str, Any]) -> tuple[Any, torch.Tensor]:
        """The model's outputs and the float32 logits of the last position."""
        if self._wants_hidden:
            inputs["output_hidden_states"] = True
        outputs = self._run(inputs)
        return outputs, outputs.logits[:, -1].float()

    def _run(self, inputs: dict[str, Any]) -> Any:
        """One forward pass."""
        return self.model(**inputs, return_dict=True)

    def _note(self, outputs: Any) -> None:
        """Mask, positions and cache of the next step."""
        # Private, but what every `generate` of transformers calls: each architecture knows how its own inputs grow.
        self._kwargs = self.model._update_model_kwargs_for_generation(
            outputs, self._kwargs, is_encoder_decoder=self.is_encoder_decoder
        )

    def _scores(self, logits: torch.Tensor) -> torch.Tensor:
        """What `prefill` and `step` return."""
        return logits

    def _parts(self) -> list[tuple[slice, int]]:
        """Rows that are prefilled together, and where their longest prompt starts; [] if it cannot be in parts."""
        tensors = {name for name, value in self._kwargs.items() if isinstance(value, torch.Tensor)}
        if not self._cache_layers or self.is_encoder_decoder or not tensors <= _BY_POSITION:
            return []
        most = PREFILL_TOKENS.get(self.ids.device.type, PREFILL_TOKENS_ELSEWHERE)
        # Sync point: once per batch, before the prefill.
        pads = self.pads.tolist()
        parts: list[tuple[slice, int]] = []
        first = 0
        for row in range(1, len(pads) + 1):
            full = row < len(pads) and (row + 1 - first) * (self.prompt_width - min(pads[first : row + 1])) > most
            if full or row == len(pads):
                parts.append((slice(first, row), min(pads[first:row])))
                first = row
        return parts

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


def rows_of(prompts: torch.Tensor, num_rows: int) -> torch.Tensor:
    """The rows (n * num_rows,) of the prompts (n,), each of which has so many, side by side."""
    return (prompts[:, None] * num_rows + torch.arange(num_rows, device=prompts.device)).flatten()


def cache_name(kwargs: dict[str, Any]) -> str:
    """Which of a model's inputs is its cache: past_key_values, or `cache` since transformers 5.24."""
    return next(name for name, value in kwargs.items() if hasattr(value, "reorder_cache"))


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


def _part(name: str, value: Any, rows: slice, start: int) -> Any:
    """A model's input for these rows from position `start` on."""
    if name not in _BY_POSITION or value is None:
        return value
    # Positions of some models are (axes, rows, length).
    return value[:, rows, start:] if value.ndim == 3 else value[rows, start:]


def _padded(states: torch.Tensor, width: int) -> torch.Tensor:
    """(rows, width, size) with zeros on the left, unless one position was asked for."""
    return states if states.shape[1] == 1 else torch.nn.functional.pad(states, (0, 0, width - states.shape[1], 0))
