"""Layers of a key-value cache whose tensors never change shape or address, as a step in a CUDA graph needs them.

Attention sees the first `span` positions of every row, of which those beyond the live part are masked; the place to
write to is a tensor. The buffers serve batch after batch of a model, of any size that fits.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import CacheLayerMixin


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Two buffers of (rows, heads, room, size), keys and values, of which the first rows are in use."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._capacity = (0, 0)
        self._buffers: tuple[torch.Tensor, ...] = ()

    def begin(self, rows: int, room: int) -> None:
        """A new batch: nothing of an earlier one is left, not even what would be masked, and there is room for it."""
        if (rows, room) != self._capacity:
            self.resize(rows, room)
        for buffer in self._buffers:
            buffer.zero_()

    def resize(self, rows: int, room: int) -> None:
        """Have room for more, at other addresses."""
        self._capacity = (rows, room)
        grown = [buffer.new_zeros(rows, buffer.shape[1], room, buffer.shape[3]) for buffer in self._buffers]
        for new, buffer in zip(grown, self._buffers, strict=True):
            new[: len(buffer), :, : buffer.shape[2]] = buffer
        self._buffers = tuple(grown)

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make the buffers for states of this kind."""
        rows, room = self._capacity
        self._buffers = tuple(
            states.new_zeros(rows, states.shape[1], room, states.shape[3]) for states in (key_states, value_states)
        )
        self.is_initialized = True

    def get_max_length(self) -> int:
        """Positions that there are."""
        return self._capacity[1]

    def move_ends(self, index: torch.Tensor, length: int, num_last: int) -> None:
        """The last `num_last` of `length` positions of row i become those of the old row `index[i]`."""
        ends = slice(length - num_last, length)
        for buffer in self._buffers:
            buffer[: len(index), :, ends] = buffer[index, :, ends]

    def _write(self, rows: slice, start: int, states: tuple[torch.Tensor, torch.Tensor]) -> None:
        if not self.is_initialized:
            self.lazy_initialization(*states)
        for buffer, new in zip(self._buffers, states, strict=True):
            buffer[rows, :, start : start + new.shape[2]] = new


class StaticCacheLayer(_Layer):  # type: ignore[no-untyped-call]
    """One layer of the cache that grows.

    While the prompts are prefilled, in parts as in `PreallocatedLayer` or at once, it hands back what it is given;
    afterwards it takes one position per step, at `at`, and hands back the first `span` positions of `rows` rows. A
    layer with a sliding window keeps all positions: its mask leaves out the distant ones.
    """

    def __init__(self, at: torch.Tensor) -> None:
        super().__init__()
        self.at = at
        """int64 (1,), where a step writes; shared by all layers."""
        self.is_stepping = False
        self.rows = 0
        self.span = 0
        self._part: tuple[slice, int] | None = None

    @property
    def is_compileable(self) -> bool:  # type: ignore[override]
        """Whether transformers shall make the mask as wide as `span`."""
        return self.is_stepping

    def begin(self, rows: int, room: int) -> None:
        """A new batch comes, with its prompts first."""
        super().begin(rows, room)
        self.is_stepping, self._part = False, None

    def begin_part(self, rows: slice, start: int, num_rows: int) -> None:
        """What comes next are these of `num_rows` rows, from position `start` on."""
        assert num_rows <= self._capacity[0], "the buffers have a place for every row"
        self._part = (rows, start)

    def end_parts(self, length: int) -> None:
        """All rows are there, up to `length`."""
        assert length <= self._capacity[1], "the buffers have a place for every position"
        self._part = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new positions; what attention shall see."""
        if not self.is_stepping:
            self._write(*(self._part or (slice(0, len(key_states)), 0)), (key_states, value_states))
            return key_states, value_states
        keys, values = self._buffers
        keys[: self.rows].index_copy_(2, self.at, key_states)
        values[: self.rows].index_copy_(2, self.at, value_states)
        return keys[: self.rows, :, : self.span], values[: self.rows, :, : self.span]

    def look(self, rows: int, span: int) -> None:
        """From now on steps are of so many rows and see so many positions."""
        self.is_stepping, self.rows, self.span = True, rows, span

    def get_seq_length(self) -> Any:
        """Live positions: a tensor () in a step, none in a prefill."""
        return self.at[0] if self.is_stepping else 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Width of the mask, and the position of its first column."""
        return (self.span if self.is_stepping else query_length), 0

    def get_max_length(self) -> int:
        """Positions that attention sees in a step; some models make what they add to its scores as wide."""
        return self.span if self.is_stepping else self._capacity[1]


class StaticCrossLayer(_Layer):  # type: ignore[no-untyped-call]
    """One layer over the encoder's states: written by the prefill, then read at full width."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keep what the encoder found; what attention shall see in the prefill."""
        self._write(slice(0, len(key_states)), 0, (key_states, value_states))
        return key_states, value_states

    def look(self, rows: int) -> None:
        """From now on steps are of so many rows."""
        self.keys, self.values = (buffer[:rows] for buffer in self._buffers)

    def get_seq_length(self) -> int:
        """Positions of the encoder, padding included."""
        return self._capacity[1] if self.is_initialized else 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Width of the mask, and the position of its first column."""
        return self._capacity[1], 0
