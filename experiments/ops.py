"""Tensor operations: what each computes, how exactly, how fast, and how near to the ceilings of this machine.

A row is one operation at one size, dtype and device. Its result is checked against numpy in float64 before anything is
timed; a result beyond what rounding explains fails the trial. The row `ceilings` measures what the machine can do at
most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from papergen import Context, Metric, Phrase
from papergen.ml.ops.catalogue import CEILINGS, ITEM_BYTES, OPERATIONS
from papergen.ml.ops.settings import OpsSettings
from papergen.ml.ops.settings import unavailable as unavailable

if TYPE_CHECKING:
    from papergen.report.parts import Part, View

LABEL = "Tensor operations"

METRICS = (
    Metric(name="torch_us", label="torch", unit="µs", direction="lower", over="rounds"),
    Metric(name="numpy_us", label="numpy", unit="µs", direction="lower", over="rounds"),
    Metric(name="compiled_us", label=Phrase("compiled", "编译"), unit="µs", direction="lower", over="rounds"),
    Metric(name="relative_error", label=Phrase("Rel. error", "相对误差"), direction="lower"),
    Metric(name="error_bound", label=Phrase("Error bound", "误差界")),
    Metric(name="gflops", label="GFLOP/s", direction="higher"),
    Metric(name="gbytes_per_s", label="GB/s", direction="higher"),
    Metric(name="peak_gflops", label=Phrase("Peak GFLOP/s", "峰值 GFLOP/s"), direction="higher"),
    Metric(name="peak_gbytes_per_s", label=Phrase("Peak GB/s", "峰值 GB/s"), direction="higher"),
    Metric(name="cached_gbytes_per_s", label=Phrase("Peak GB/s in cache", "缓存峰值 GB/s"), direction="higher"),
)


class Params(OpsSettings):
    """One operation at one size, dtype and device."""


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Check the operation against numpy in float64, then time it."""
    device = params.device or ctx.device
    if params.op == CEILINGS:
        return _ceilings(params, ctx, device)
    from papergen.ml.ops.accuracy import check
    from papergen.ml.ops.expressions import bind, shares_memory
    from papergen.ml.ops.timing import time_operation

    operation = OPERATIONS[params.op]
    bound = bind(operation, size=params.size, dtype=params.dtype, device=device, seed=ctx.seed)
    accuracy = check(operation, bound, size=params.size, dtype=params.dtype)
    timed = time_operation(
        operation,
        bound,
        num_rounds=params.num_rounds,
        min_run_time_s=params.min_run_time_s,
        num_threads=ctx.num_threads,
        is_compiled=params.compiled,
        progress=ctx.step,
    )
    metrics: dict[str, float] = {}
    for name, rounds in dataclasses.asdict(timed).items():
        if rounds is not None:
            ctx.units(name, rounds)
            metrics[name] = sum(rounds) / len(rounds)
    metrics |= {name: number for name, number in dataclasses.asdict(accuracy).items() if number is not None}
    num_flops = operation.num_flops(params.size)
    num_bytes = operation.num_moved(params.size) * ITEM_BYTES[params.dtype]
    if num_flops:
        metrics["gflops"] = num_flops / metrics["torch_us"] / 1e3
        ctx.fact("flops_per_byte", num_flops / num_bytes)
    if num_bytes and operation.takes_dtype:
        metrics["gbytes_per_s"] = num_bytes / metrics["torch_us"] / 1e3
        ctx.fact("num_bytes", num_bytes)
    is_view = shares_memory(operation, bound)
    if is_view is not None:
        ctx.fact("shares_memory", is_view)
    return metrics


def _ceilings(params: Params, ctx: Context, device: str) -> Mapping[str, float]:
    from papergen.ml.ops.ceilings import measure_ceilings

    found = measure_ceilings(
        dtype=params.dtype,
        device=device,
        num_threads=ctx.num_threads,
        num_rounds=params.num_rounds,
        progress=ctx.step,
    )
    ctx.fact("bandwidths", [list(pair) for pair in found.bandwidths])
    return {
        "peak_gflops": found.gflops,
        "peak_gbytes_per_s": found.gbytes_per_s,
        "cached_gbytes_per_s": found.cached_gbytes_per_s,
    }


def report(view: View) -> Part:
    """Every operation at the largest size, dtypes and devices, the roofline, time over size, the method in words."""
    from papergen.latex.text import Tex
    from papergen.ml.ops import report as ops
    from papergen.ml.ops.describing import method
    from papergen.ml.ops.roofline import bandwidth_figure, roofline_figure
    from papergen.report.parts import Part

    rows = ops.settings_of(view)
    roof = ops.roof_of(view, rows)
    at_largest = ops.by_family(view, ops.plain_rows(view, rows, size=ops.largest(rows)))
    figures = ops.over_size(view, rows)
    if roof is not None and at_largest:
        everything = ops.by_family(view, ops.plain_rows(view, rows))
        figures += [roofline_figure(roof, at_largest), bandwidth_figure(roof, everything)]
    words = method(
        rows,
        num_threads=sorted({view.finished(row)[0].provenance.num_threads for row in view.rows}),
        working_sets=[] if roof is None else [int(size) for size, _ in roof.bandwidths],
    )
    return Part(
        tables=(
            ops.operations(view, rows, roof),
            *ops.dtypes(view, rows),
            *ops.devices(view, rows),
            *ops.compiled(view, rows),
            ops.settings(rows),
        ),
        figures=figures,
        texts={"method": Tex(view.said(words))},
    )
