"""How long an operation takes, by torch.utils.benchmark: rounds in which the contenders take turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.benchmark import Timer

from papergen.core.errors import MachineError
from papergen.ml.ops.catalogue import Operation
from papergen.ml.ops.expressions import Bound

RUN = "run()"


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Microseconds per call, one per round; None where the contender does not exist."""

    torch_us: list[float]
    numpy_us: list[float] | None
    compiled_us: list[float] | None


def time_operation(
    operation: Operation,
    bound: Bound,
    *,
    num_rounds: int,
    min_run_time_s: float,
    num_threads: int,
    is_compiled: bool,
    progress: Callable[[int, int], None],
) -> Timed:
    """Time torch, numpy where it has the dtype, and the compiled expression where asked for.

    The timer warms up, synchronises a GPU, and repeats the call until `min_run_time_s` has passed in every round; a
    round's figure is the median of its blocks. numpy's BLAS gets as many threads as torch.
    """
    timers = {"torch": _timer(operation.torch, bound.torch_names, num_threads)}
    if bound.numpy_names is not None:
        timers["numpy"] = _timer(operation.numpy, bound.numpy_names, num_threads)
    if is_compiled:
        timers["compiled"] = _timer(RUN, {RUN.removesuffix("()"): compiled(operation, bound)}, num_threads)
    rounds: dict[str, list[float]] = {name: [] for name in timers}
    with threadpool_limits(limits=num_threads):
        for timer in timers.values():
            timer.timeit(2)
        for index in range(num_rounds):
            order = list(timers) if index % 2 == 0 else list(timers)[::-1]
            for name in order:
                rounds[name].append(1e6 * timers[name].blocked_autorange(min_run_time=min_run_time_s).median)
            progress(index + 1, num_rounds)
    return Timed(torch_us=rounds["torch"], numpy_us=rounds.get("numpy"), compiled_us=rounds.get("compiled"))


def compiled(operation: Operation, bound: Bound) -> Callable[[], Any]:
    """The torch expression under torch.compile, compiled already. MachineError where there is no compiler for it."""
    names = [name for name in bound.torch_names if isinstance(bound.torch_names[name], torch.Tensor)]
    scope = {name: value for name, value in bound.torch_names.items() if name not in names}
    function: Callable[..., Any] = torch.compile(eval(f"lambda {', '.join(names)}: {operation.torch}", scope))
    operands = [bound.torch_names[name] for name in names]
    try:
        function(*operands)
    except Exception as error:
        if "InvalidCxxCompiler" not in f"{type(error).__name__} {error}":
            raise
        raise MachineError(
            "compiled = true needs a C++ compiler, and none was found.",
            hint="Install one (Debian: apt-get install g++), or leave compiled out.",
        ) from error
    return lambda: function(*operands)


def median_us(rounds: list[float]) -> float:
    """The middle round."""
    return statistics.median(rounds)


def _timer(statement: str, names: Mapping[str, Any], num_threads: int) -> Timer:
    return Timer(stmt=statement, globals=dict(names), num_threads=num_threads)
