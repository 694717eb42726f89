"""A stepper whose every step has the same shape and works on the same memory, so that it can be a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch

from papergen.ml.decoding.buffers import Buffers
from papergen.ml.decoding.device_reads import DelayedRead
from papergen.ml.decoding.dola import DolaStepper
from papergen.ml.decoding.stepper import Stepper, cache_name


class StepOutput(NamedTuple):
    """What a step leaves behind, at fixed addresses."""

    scores: torch.Tensor
    """(rows, vocabulary) float32, as `Stepper.step` returns them."""
    plain: torch.Tensor | None
    hidden: tuple[torch.Tensor, ...]


class StepHost(Protocol):
    """What keeps buffers between batches, and runs the model."""

    num_layers: int
    """Layers of the cache."""

    @property
    def is_compiling(self) -> bool: ...  # noqa: D102
    def buffers(self, model: Any) -> Buffers: ...  # noqa: D102
    def call(self, model: Any, inputs: dict[str, Any]) -> Any: ...  # noqa: D102


class StaticStepper(Stepper):
    """A `Stepper` over buffers that stay: prompts are prefilled as they come, steps are of one shape.

    The host knows how long the texts are and never asks the device for anything; `is_true` answers a few steps late.
    `ids` and what `step` returns are overwritten by later steps.
    """

    waits = False

    recipe: tuple[Any, ...] = ()
    """What, beside the model and the shapes, decides what a step computes."""

    def __init__(
        self,
        model: Any,
        ids: torch.Tensor,
        kwargs: dict[str, Any],
        *,
        max_new: int,
        host: StepHost,
        wants_hidden: bool = False,
    ) -> None:
        self._host = host
        self._delayed = DelayedRead(ids.device)
        self._is_stepping = False
        self.length = ids.shape[1]
        """Tokens per row that the cache holds once the prompts are prefilled."""
        super().__init__(model, ids, kwargs, max_new=max_new, wants_hidden=wants_hidden)

    def prefill(self) -> torch.Tensor:
        """Run the prompts as `Stepper` does; from then on everything lies in the buffers."""
        logits = super().prefill()
        self.buffers.start(self.ids, self.pads)
        if self.is_encoder_decoder:
            states = self._kwargs["encoder_outputs"].last_hidden_state
            attention = self.model.config._attn_implementation
            self.buffers.encode(states, self._kwargs.get("attention_mask"), attention)
        self._has_positions = "position_ids" in self._kwargs
        # Only switches go on; a step that outlives this stepper must not keep the batch's tensors alive.
        self._kwargs = {name: value for name, value in self._kwargs.items() if isinstance(value, bool | int | str)}
        self._is_stepping = True
        self._look(len(self.ids))
        return logits

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append `tokens` (rows,) and run them; (rows, vocabulary) float32 logits of the next token."""
        self.mark()
        rows = self.num_rows
        self.buffers.ids[:rows, self.length] = tokens
        self.buffers.token[:rows, 0] = tokens
        outcome: StepOutput = self.run("forward", lambda: self.forward(rows))
        self.plain, self.hidden = outcome.plain, outcome.hidden
        return outcome.scores

    def run(self, name: Any, make: Callable[[], Callable[[], Any]]) -> Any:
        """The outputs of the step that `make()` builds for texts of this shape, which lengthens them by one token."""
        key = (name, self.recipe, self._wants_hidden, self.num_rows, self.buffers.span(self.length))
        found = self.buffers.steps.run(key, make)
        self.length += 1
        self._look(self.num_rows)
        return found

    def forward(self, rows: int) -> Callable[[], StepOutput]:
        """A forward pass of the buffers' next tokens in so many rows, as a function of nothing.

        It may outlive this stepper and serve other batches: what it uses is in the buffers.
        """
        buffers, span = self.buffers, self.buffers.span(self.length)
        kwargs = self._inputs(rows, span)

        def step() -> StepOutput:
            buffers.look(rows, span)
            inputs = self.model.prepare_inputs_for_generation(buffers.token[:rows], next_sequence_length=1, **kwargs)
            scores = self._forward(inputs)
            buffers.advance(rows)
            return StepOutput(scores, self.plain, self.hidden)

        return step

    def select(self, index: torch.Tensor) -> None:
        """Keep, repeat or reorder rows: row i becomes the old row `index[i]`, in the buffers."""
        self.buffers.select(index, self.length)
        self._look(len(index))

    def reorder(self, index: torch.Tensor, num_last: int | None = None) -> None:
        """`select` for an `index` that keeps every row within its prompt; all rows move, without asking which do."""
        self.buffers.reorder(index, self.length, self.num_new if num_last is None else num_last)

    @property
    def may_shrink(self) -> bool:
        """Whether fewer rows are worth the steps of a new shape."""
        return not self._host.is_compiling

    def is_true(self, flag: torch.Tensor) -> bool:
        """Whether `flag` () was true a few steps ago; flags that a search stops at stay true."""
        return bool(self.recently(flag))

    def recently(self, value: torch.Tensor) -> int | None:
        """What the whole number `value` () was a few steps ago; None while there were not so many."""
        return self._delayed.push(value)

    def _install(self, room: int) -> list[Any]:
        self.buffers = self._host.buffers(self.model)
        encoded = self._kwargs.get("encoder_outputs")
        source = 0 if encoded is None else encoded.last_hidden_state.shape[1]
        self.buffers.begin(self.model, len(self.ids), room, source)
        self._cache_name = cache_name(self._kwargs)
        self._kwargs[self._cache_name] = self.buffers.cache
        return list(self.buffers.layers)

    def _inputs(self, rows: int, span: int) -> dict[str, Any]:
        """What `prepare_inputs_for_generation` gets beside the tokens: old switches, and tensors of the buffers."""
        found: dict[str, Any] = {**self._kwargs, self._cache_name: self.buffers.cache}
        if self.is_encoder_decoder:
            encoder_mask = self.buffers.encoder_mask
            assert encoder_mask is not None, "the encoder's states are there since the prefill"
            return {
                **found,
                "attention_mask": encoder_mask[:rows],
                "encoder_outputs": self.buffers.encoder_outputs(rows),
            }
        found["attention_mask"] = self.buffers.mask[:rows, :span]
        if self._has_positions:
            found["position_ids"] = self.buffers.position_ids[:rows]
        return found

    def _run(self, inputs: dict[str, Any]) -> Any:
        if not self._is_stepping:
            return super()._run(inputs)
        return self._host.call(self.model, inputs)

    def _note(self, outputs: Any) -> None:
        if not self._is_stepping:
            super()._note(outputs)

    def _look(self, rows: int) -> None:
        self.ids, self.pads = self.buffers.ids[:rows, : self.length], self.buffers.pads[:rows]


class StaticDolaStepper(DolaStepper, StaticStepper):
    """DoLa's contrast within the step."""

    @property
    def recipe(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The layers that are contrasted."""
        return ("dola", *self._layers)
