"""When the tokens of a batch were known, without making the host wait for the device."""

from __future__ import annotations

import time
from typing import Any

import torch


class Clock:
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
