"""What the host reads of the device without waiting for it: when tokens were known, and values a few steps late."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import torch

DELAY = 4
"""Steps between a value and its reading; as many are run in vain after the last text has ended."""


class DeviceClock:
    """Readings in seconds of `time.perf_counter`: on CUDA the time at which the device came to `mark`, else now.

    The host runs ahead of a CUDA device, so that its own clock would say when work was handed over, not when it was
    done. An event in the stream costs no waiting; `readings` waits once, for the last of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._marks: list[Any] = []

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self) -> None:
        """Note this moment."""
        if not self._is_cuda:
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._marks.append(event)

    def readings(self) -> list[float]:
        """One reading per mark, in their order."""
        if not self._is_cuda or not self._marks:
            return list(self._marks)
        last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        last.record()
        last.synchronize()
        now = time.perf_counter()
        return [now - event.elapsed_time(last) / 1e3 for event in self._marks]


class DelayedRead:
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
        if len(self._pending) <= DELAY:
            return None
        oldest, event = self._pending.popleft()
        if event is not None:
            event.synchronize()
            self._spare.append(oldest)
        return int(oldest)
