"""Values of device tensors on the host, a few steps late, so that the device never waits for the host."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch

LAG = 4
"""Steps between a value and its reading; as many are run in vain after the last text has ended."""


class Lagging:
    """What a number was `LAG` steps ago. On CUDA a pinned copy and an event per step, waited for when they are old."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._pending: deque[tuple[torch.Tensor, Any]] = deque()
        self._spare: list[torch.Tensor] = []

    def push(self, value: torch.Tensor) -> int | None:
        """Take the present `value` (); return the one of `LAG` calls ago, None while there is none."""
        event: Any = None
        if self._is_cuda:
            copy = self._spare.pop() if self._spare else torch.zeros((), dtype=torch.long, pin_memory=True)
            copy.copy_(value.long(), non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        else:
            copy = value.clone()
        self._pending.append((copy, event))
        if len(self._pending) <= LAG:
            return None
        oldest, event = self._pending.popleft()
        if event is not None:
            event.synchronize()
            self._spare.append(oldest)
        return int(oldest)
