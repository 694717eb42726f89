"""The key-value cache as one buffer per layer with room for the whole text: written and reordered in place.

transformers' own grows by copying all of it at every step and for every reordering of a search.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer


class PreallocatedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, (rows, heads, room, size) each, of which the first `length` positions are live.

    `keys` and `values` are views of the live part, as in the layer that it replaces.
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self._room = room
        self._part: tuple[slice, int, int] | None = None
        self._columns: torch.Tensor | None = None
        self._is_ragged = False
        self._buffers: tuple[torch.Tensor, ...] = ()

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make room for the rows of the states, or for all rows of a batch that comes in parts."""
        self.device, self.dtype = key_states.device, key_states.dtype
        rows = len(key_states) if self._part is None else self._part[2]
        self._buffers = tuple(
            states.new_empty(rows, states.shape[1], self._room, states.shape[3])
            for states in (key_states, value_states)
        )
        self.is_initialized = True
        self._look()

    def begin_part(self, rows: slice, start: int, num_rows: int) -> None:
        """What comes next are these of `num_rows` rows, from position `start` on; before it they have padding."""
        self._part = (rows, start, num_rows)

    def end_parts(self, length: int) -> None:
        """All rows are there, up to `length`."""
        self._part = None
        if self.is_initialized:
            self.length = length
            self._look()

    def begin_ragged(self) -> None:
        """From now on every row writes where `place` says, so that some of what is live belongs to longer rows only."""
        self._is_ragged = True
        for buffer in self._buffers:
            # It is masked, which does not help against what is not a number: memory must not be left as found.
            buffer[:, :, self.length :] = 0.0

    def place(self, columns: torch.Tensor, length: int) -> None:
        """What comes next is written to these positions (rows, new); `length` are live afterwards."""
        self._columns, self.length = columns, length

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new positions behind the live ones; what attention shall see."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        num_new = key_states.shape[2]
        if self._part is not None:
            rows, start, _num_rows = self._part
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                # Padding is masked, which does not help against what is not a number: memory must not be left as found.
                buffer[rows, :, :start] = 0.0
                buffer[rows, :, start : start + num_new] = states
            return key_states, value_states
        if self._columns is not None:
            every = torch.arange(len(key_states), device=self._columns.device)[:, None]
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[every, :, self._columns] = states.transpose(1, 2)
            self._columns = None
            self._look()
            return self._live()
        assert self.length + num_new <= self._room, "the room is that of the longest text"
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.length : self.length + num_new] = states
        self.length += num_new
        keys, values = self._live()
        self.keys, self.values = keys, values
        return keys, values

    def get_seq_length(self) -> int:
        """Live positions."""
        return self.length

    def reorder_cache(self, index: torch.Tensor) -> None:
        """Row i becomes the old row `index[i]`; there may be more or fewer rows than before."""
        if not self.is_initialized:
            return
        old = self._buffers
        self._buffers = tuple(
            buffer.new_empty(len(index), buffer.shape[1], self._room, buffer.shape[3]) for buffer in old
        )
        for new, buffer in zip(self._buffers, old, strict=True):
            new[:, :, : self.length] = buffer[index, :, : self.length]
            if self._is_ragged:
                new[:, :, self.length :] = 0.0
        self._look()

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last `-tokens_to_remove` positions; the sign is transformers'."""
        self.length += min(0, tokens_to_remove)
        if self.is_initialized:
            self._look()

    def move_ends(self, targets: torch.Tensor, sources: torch.Tensor, num_last: int) -> None:
        """The last `num_last` positions of the rows `targets` become those of the rows `sources`."""
        if not self.is_initialized:
            return
        for buffer in self._buffers:
            ends = buffer[:, :, self.length - num_last : self.length]
            ends[targets] = ends[sources]

    def move_column(self, target: int, sources: torch.Tensor) -> None:
        """Position `target` becomes that at `sources` (rows,) of the same row, and the last live one."""
        rows = torch.arange(len(sources), device=sources.device)
        for buffer in self._buffers:
            buffer[:, :, target] = buffer[rows, :, sources]
        self.length = target + 1
        self._look()

    def gather_columns(self, start: int, kept: torch.Tensor) -> None:
        """From `start` on only the positions `kept` (rows, count) stay, in this order."""
        rows = torch.arange(len(kept), device=kept.device)[:, None]
        for buffer in self._buffers:
            buffer[:, :, start : start + kept.shape[1]] = buffer[rows, :, kept].transpose(1, 2)
        self.length = start + kept.shape[1]
        self._look()

    def _look(self) -> None:
        self.keys, self.values = self._live()

    def _live(self) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (buffer[:, :, : self.length] for buffer in self._buffers)
        return keys, values


def install(kwargs: dict[str, Any], room: int) -> list[PreallocatedLayer]:
    """Replace the layers of the empty cache in the model's `kwargs`; [] where one of them is of another kind.

    `room` is the most positions that a row can have. Of an encoder-decoder cache the part that grows is replaced.
    """
    for cache in kwargs.values():
        own = getattr(cache, "self_attention_cache", cache)
        if type(own) is not DynamicCache or not own.layers or own.offloading:
            continue
        if any(type(layer) is not DynamicLayer for layer in own.layers):
            return []
        layers = [PreallocatedLayer(room) for _ in own.layers]
        own.layers = list(layers)
        return layers
    return []
