"""All tensors that a step of static shape reads and writes, kept for a model from batch to batch."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from papergen.ml.decoding.graphs import Steps
from papergen.ml.decoding.static_cache import StaticCacheLayer, StaticCrossLayer

ALIGNED = 64
"""Positions come in multiples of this: attention kernels want an aligned mask, and buffers are made anew less often."""

SPAN = 256
"""A step sees the live positions rounded up to a multiple of this, so there are as many graphs as that takes."""


class Buffers:
    """Room for `rows` texts of `room` positions each, over encoder states of `source` positions.

    Tensors of a batch are the first rows of these. The steps that were built on them are kept here as well, and
    forgotten when a tensor or a weight of the model has moved.
    """

    def __init__(self, model: Any, num_layers: int, *, span: int = SPAN, has_graphs: bool = True) -> None:
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.steps = Steps(self.device, has_graphs=has_graphs)
        self._span = span
        self.rows = self.room = self.source = 0
        self.at = torch.zeros(1, dtype=torch.long, device=self.device)
        """int64 (1,), the position that the next step writes: how long the texts in the cache are."""
        self.num_new = torch.zeros(1, dtype=torch.long, device=self.device)
        """int64 (1,), tokens that a search within the steps has chosen."""
        self.ids = self._new(0, 0)
        """(rows, room) tokens."""
        self.pads = self._new(0)
        """(rows,) padding tokens on the left."""
        self.mask = self._new(0, 0)
        """(rows, room) 0 for padding; what is not yet written is masked by its position."""
        self.token = self._new(0, 1)
        """(rows, 1) the token that is run next."""
        self.position_ids = self._new(0, 1)
        """(rows, 1) its position without padding."""
        self.encoder_states: torch.Tensor | None = None
        """(rows, source, size)"""
        self.encoder_mask: torch.Tensor | None = None
        """(rows, 1, 1, source) in the form that the model's attention adds or applies."""
        self.layers = [StaticCacheLayer(self.at) for _ in range(num_layers)]
        self.cross = [StaticCrossLayer() for _ in range(num_layers)] if model.config.is_encoder_decoder else []
        own = Cache(layers=list(self.layers))
        self.cache: Cache = EncoderDecoderCache(own, Cache(layers=list(self.cross))) if self.cross else own
        self._state: dict[str, torch.Tensor] = {}
        self._weights: tuple[int, ...] = ()

    def begin(self, model: Any, rows: int, room: int, source: int) -> None:
        """A new batch of so many rows, of texts and encoder states of at most so many positions."""
        weights = tuple(tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers()))
        if weights != self._weights:
            self._weights = weights
            self.steps.forget()
        if rows > self.rows or room > self.room or source > self.source:
            self._resize(max(rows, self.rows), max(room, self.room), max(source, self.source))
        for layer in self.layers:
            layer.begin(self.rows, self.room)
        for cross in self.cross:
            cross.begin(self.rows, self.source)
        if isinstance(self.cache, EncoderDecoderCache):
            self.cache.is_updated = dict.fromkeys(range(len(self.cross)), False)

    def start(self, ids: torch.Tensor, pads: torch.Tensor) -> None:
        """The prompts (rows, width) are in the cache."""
        rows, width = ids.shape
        self.ids[:rows, :width] = ids
        self.pads[:rows] = pads
        columns = torch.arange(self.room, device=self.device)
        self.mask[:rows] = (columns >= pads[:, None]).long()
        self.position_ids[:rows, 0] = width - pads
        self.at.fill_(width)

    def encode(self, states: torch.Tensor, mask: torch.Tensor | None, attention: str) -> None:
        """The encoder's states (rows, source, size) and its padding mask (rows, source)."""
        rows, source, size = states.shape
        if self.encoder_states is None or self.encoder_mask is None:
            self.encoder_states = states.new_zeros(self.rows, self.source, size)
            self.encoder_mask = states.new_zeros(
                (self.rows, 1, 1, self.source), dtype=torch.bool if attention == "sdpa" else self.dtype
            )
        self.encoder_states[:rows, :source] = states
        self.encoder_states[:rows, source:] = 0.0
        is_text = torch.zeros(rows, self.source, dtype=torch.bool, device=self.device)
        is_text[:, :source] = True if mask is None else mask.bool()
        shown = is_text[:, None, None]
        least = torch.finfo(self.dtype).min
        self.encoder_mask[:rows] = (
            shown if attention == "sdpa" else torch.zeros_like(shown, dtype=self.dtype).masked_fill(~shown, least)
        )

    def encoder_outputs(self, rows: int) -> BaseModelOutput | None:
        """The encoder's states of the first rows in transformers' form; None for a model without encoder."""
        if self.encoder_states is None:
            return None
        return BaseModelOutput(last_hidden_state=self.encoder_states[:rows])

    def look(self, rows: int, span: int) -> None:
        """From now on steps are of so many rows and see so many positions."""
        for layer in self.layers:
            layer.look(rows, span)
        for cross in self.cross:
            cross.look(rows)

    def advance(self, rows: int) -> None:
        """A step of so many rows has written its position; part of the step."""
        self.at.add_(1)
        self.position_ids[:rows].add_(1)

    def select(self, index: torch.Tensor, length: int) -> None:
        """Row i becomes the old row `index[i]`; texts have `length` tokens, all of them in the cache."""
        rows = len(index)
        if rows > self.rows:
            self._resize(rows, self.room, self.source)
        for layer in self.layers:
            layer.move_ends(index, length, length)
        for cross in self.cross:
            cross.move_ends(index, self.source, self.source)
        for tensor in (*self._by_row(), *self._state.values()):
            tensor[:rows] = tensor[index]

    def reorder(self, index: torch.Tensor, length: int, num_last: int) -> None:
        """`select` for rows that differ in their last `num_last` tokens only."""
        for layer in self.layers:
            layer.move_ends(index, length, num_last)
        self.ids[: len(index)] = self.ids[index]

    def state(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """(rows,) numbers of a search that its steps read and write, and that move with their rows."""
        if name not in self._state:
            self._state[name] = self._new(self.rows, dtype=dtype)
        return self._state[name]

    def span(self, length: int) -> int:
        """How many positions a step on texts of this length looks at, its own included; all for a span of 0."""
        return min(self.room, -(-(length + 1) // self._span) * self._span) if self._span else self.room

    def _by_row(self) -> list[torch.Tensor]:
        found = [self.ids, self.pads, self.mask, self.token, self.position_ids]
        return found + [tensor for tensor in (self.encoder_states, self.encoder_mask) if tensor is not None]

    def _resize(self, rows: int, room: int, source: int) -> None:
        room = -(-room // ALIGNED) * ALIGNED
        self.steps.forget()
        self.rows, self.room, self.source = rows, room, source
        for layer in self.layers:
            layer.resize(rows, room)
        for cross in self.cross:
            cross.resize(rows, source)
        self.ids, self.mask = self._grown(self.ids, room), self._grown(self.mask, room)
        self.token, self.position_ids = self._grown(self.token, 1), self._grown(self.position_ids, 1)
        self.pads = self._grown(self.pads)
        self._state = {name: self._grown(tensor) for name, tensor in self._state.items()}
        if self.encoder_states is not None and self.encoder_mask is not None:
            self.encoder_states = self._grown(self.encoder_states, source, self.encoder_states.shape[2])
            self.encoder_mask = self._grown(self.encoder_mask, 1, 1, source)

    def _grown(self, old: torch.Tensor, *shape: int) -> torch.Tensor:
        """`old` with zeros around it."""
        new = old.new_zeros(self.rows, *shape)
        new[tuple(slice(0, size) for size in old.shape)] = old
        return new

    def _new(self, *shape: int, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype, device=self.device)
