"""Steps that are called again and again: replayed as CUDA graphs where there is CUDA, called where there is none."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch

MOST_STEPS = 64
"""Steps that are kept per model; beyond it all are forgotten and made anew."""


@dataclass
class _Step:
    function: Callable[[], Any]
    outputs: Any = None
    graph: Any = None


class Steps:
    """The steps of one model, by what makes them differ.

    A step is a function without arguments that reads and writes tensors of fixed address, and no value of a tensor on
    the host. Its first call runs it as it is, on a stream of its own, which warms up whatever libraries it uses; the
    second captures it; every further one hands the whole step to the device at once. What a step returns lies at fixed
    addresses as well and is overwritten by its next call.
    """

    def __init__(self, device: torch.device, *, has_graphs: bool = True) -> None:
        self._device = device
        self._steps: dict[Hashable, _Step] = {}
        self._stream: Any = None
        self._pool: Any = None
        self.refusal: str | None = None if has_graphs else "CUDA graphs are switched off"
        """Why steps are called one by one; None where they are graphs."""
        if device.type != "cuda":
            self.refusal = f"no CUDA graphs on {device.type}"

    def __len__(self) -> int:
        return len(self._steps)

    def forget(self) -> None:
        """The tensors that the steps work on are no longer there."""
        self._steps.clear()
        self._pool = None

    def run(self, key: Hashable, make: Callable[[], Callable[[], Any]]) -> Any:
        """The outputs of the step `key`, which `make()` builds where it is not there yet."""
        step = self._steps.get(key)
        if step is None:
            if len(self._steps) >= MOST_STEPS:
                self.forget()
            step = self._steps[key] = _Step(make())
            return step.function() if self.refusal else self._aside(step.function)
        if self.refusal:
            return step.function()
        if step.graph is None and not self._captured(step):
            return step.function()
        step.graph.replay()
        return step.outputs

    def _aside(self, function: Callable[[], Any]) -> Any:
        """A call on the stream that captures."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        present = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(present)
        with torch.cuda.stream(self._stream):
            outputs = function()
        present.wait_stream(self._stream)
        return outputs

    def _captured(self, step: _Step) -> bool:
        """Whether the step is a graph now; nothing of it has run."""
        if self._pool is None:
            # One pool for all: they run one after the other, and none reads what another has left in it.
            self._pool = torch.cuda.graph_pool_handle()
        graph, present = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        try:
            # Other threads (of a logger, say) may use CUDA meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                step.outputs = step.function()
        except RuntimeError as error:
            self.refusal = f"CUDA would not capture the step: {str(error).strip().splitlines()[0]}"
            self._steps = {key: _Step(one.function) for key, one in self._steps.items()}
            torch.cuda.set_stream(present)  # torch.cuda.graph does not go back when the end of a capture fails
            torch.cuda.synchronize(self._device)
            return False
        step.graph = graph
        return True
