"""Tensor operations: what each computes, how exactly, how fast, and how near to the ceilings of this machine.

A row is one operation at one size and dtype. Its result is checked against numpy in float64 before anything is timed;
a result beyond what rounding explains fails the trial. The row `ceilings` measures what the machine can do at most.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from papergen.errors import did_you_mean
from papergen.experiment import Context, Metric
from papergen.experiment import Params as Base
from papergen.ops.catalogue import CEILINGS, OPERATIONS

if TYPE_CHECKING:
    from papergen.report.figures import Figure, Series
    from papergen.report.parts import Part, View
    from papergen.report.tables import Cell, Row, Table
    from papergen.report.values import Value

LABEL = "Tensor operations"

METRICS = (
    Metric(name="torch_us", label="torch", unit="µs", direction="lower", over="rounds"),
    Metric(name="numpy_us", label="numpy", unit="µs", direction="lower", over="rounds"),
    Metric(name="compiled_us", label="compiled", unit="µs", direction="lower", over="rounds"),
    Metric(name="relative_error", label="Rel. error", direction="lower"),
    Metric(name="error_bound", label="Error bound"),
    Metric(name="gflops", label="GFLOP/s", direction="higher"),
    Metric(name="gbytes_per_s", label="GB/s", direction="higher"),
    Metric(name="peak_gflops", label="Peak GFLOP/s", direction="higher"),
    Metric(name="peak_gbytes_per_s", label="Peak GB/s", direction="higher"),
    Metric(name="cached_gbytes_per_s", label="Peak GB/s in cache", direction="higher"),
)

FAMILIES = {
    "product": "Products",
    "attention": "Attention",
    "elementwise": "Elementwise",
    "mask": "Masks",
    "shape": "Shapes",
    "slice": "Slices",
    "creation": "Creation",
}


class Params(Base):
    """One operation at one size and dtype."""

    op: str = Field(description="Operation of the catalogue, or ceilings: what the machine can do at most.")
    size: int = Field(default=1024, ge=16, description="Operands have about size x size elements; a multiple of 4.")
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = Field(
        default="float32", description="Type of the operands' elements."
    )
    compiled: bool = Field(default=False, description="Time the operation under torch.compile as well.")
    num_rounds: int = Field(default=5, ge=2, description="Rounds in which torch, numpy and compiled take turns.")
    min_run_time_s: float = Field(default=0.02, gt=0, description="Least time of a contender in a round, in seconds.")

    @model_validator(mode="after")
    def _possible(self) -> Params:
        if self.op != CEILINGS and self.op not in OPERATIONS:
            raise ValueError(
                f"op = {self.op!r} is not in the catalogue. {did_you_mean(self.op, [CEILINGS, *OPERATIONS])}"
            )
        if self.size % 4:
            raise ValueError(f"size = {self.size} is not a multiple of 4. Try {self.size - self.size % 4 + 4}.")
        if self.compiled and self.op == CEILINGS:
            raise ValueError("compiled: no effect with op = ceilings. Leave it out.")
        is_fixed = self.op in OPERATIONS and not OPERATIONS[self.op].takes_dtype
        if is_fixed and self.dtype != type(self).model_fields["dtype"].default:
            raise ValueError(f"dtype: no effect with op = {self.op}, whose result has a type of its own. Leave it out.")
        return self


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Check the operation against numpy in float64, then time it."""
    if params.op == CEILINGS:
        return _ceilings(params, ctx)
    from papergen.ops.accuracy import check
    from papergen.ops.expressions import bind
    from papergen.ops.memory import shares_memory
    from papergen.ops.timing import time_operation

    operation = OPERATIONS[params.op]
    bound = bind(operation, size=params.size, dtype=params.dtype, device=ctx.device, seed=ctx.trial.seed)
    accuracy = check(operation, bound, size=params.size, dtype=params.dtype)
    timed = time_operation(
        operation,
        bound,
        num_rounds=params.num_rounds,
        min_run_time_s=params.min_run_time_s,
        num_threads=ctx.num_threads,
        is_compiled=params.compiled,
        progress=ctx.progress,
    )
    metrics: dict[str, float] = {}
    for name, rounds in dataclasses.asdict(timed).items():
        if rounds is not None:
            ctx.units(name, rounds)
            metrics[name] = sum(rounds) / len(rounds)
    metrics |= {name: number for name, number in dataclasses.asdict(accuracy).items() if number is not None}
    num_flops, num_moved = operation.num_flops(params.size), operation.num_moved(params.size)
    num_bytes = num_moved * {"float64": 8, "float32": 4}.get(params.dtype, 2)
    if num_flops:
        metrics["gflops"] = num_flops / metrics["torch_us"] / 1e3
        ctx.fact("flops_per_byte", num_flops / num_bytes)
    if num_bytes and operation.takes_dtype:
        metrics["gbytes_per_s"] = num_bytes / metrics["torch_us"] / 1e3
    is_view = shares_memory(operation, bound)
    if is_view is not None:
        ctx.fact("shares_memory", is_view)
    return metrics


def _ceilings(params: Params, ctx: Context) -> Mapping[str, float]:
    from papergen.ops.ceilings import measure_ceilings

    found = measure_ceilings(
        dtype=params.dtype,
        device=ctx.device,
        num_threads=ctx.num_threads,
        num_rounds=params.num_rounds,
        progress=ctx.progress,
    )
    return {
        "peak_gflops": found.gflops,
        "peak_gbytes_per_s": found.gbytes_per_s,
        "cached_gbytes_per_s": found.cached_gbytes_per_s,
    }


def report(view: View) -> Part:
    """Every operation at the largest size, the dtypes, the roofline, time over size, and the method in words."""
    from papergen.report.parts import Part

    rows = {row: _params(view, row) for row in view.rows}
    figures = [*roofline(view, rows), *over_size(view, rows)]
    return Part(
        tables=(operations(view, rows), *dtypes(view, rows), settings(rows)),
        figures=tuple(figures),
        texts={"method": method(view, rows)},
    )


def operations(view: View, rows: Mapping[str, Params]) -> Table:
    """Accuracy, memory and time of every operation at the largest size, in float32 where the dtype is free."""
    from papergen.report.tables import Column, table_of

    size = _largest(rows)
    chosen = [row for row, params in rows.items() if _is_plain(params) and params.size == size]
    order = list(FAMILIES)
    chosen.sort(key=lambda row: order.index(OPERATIONS[rows[row].op].family))
    names = ["relative_error", "torch_us", "numpy_us"]
    if any("compiled_us" in view.finished(row)[0].outcome.metrics for row in chosen):
        names.append("compiled_us")
    names += ["gflops", "gbytes_per_s"]
    table = table_of(
        view.results,
        "operations",
        view.experiment,
        names,
        rows=chosen,
        labels=lambda row: OPERATIONS[rows[row].op].label,
        corner="Operation",
        show="mean",
        marks_best=False,
    )
    columns = [dataclasses.replace(column, direction="none") for column in table.columns]
    columns.insert(0, Column(name="copies", heading="Result"))
    lines = [_with_memory(view, row, FAMILIES[OPERATIONS[rows[row.name].op].family]) for row in table.rows]
    ceiling = _ceiling_row(rows)
    if ceiling is not None:
        columns.append(Column(name="share", heading="Of ceiling", unit="%", show="mean"))
        lines = [dataclasses.replace(row, cells=(*row.cells, _share(view, row.name, ceiling))) for row in lines]
    return dataclasses.replace(table, columns=tuple(columns), rows=tuple(lines))


def dtypes(view: View, rows: Mapping[str, Params]) -> tuple[Table, ...]:
    """The operations that were run in several dtypes, at the largest size; nothing when none was."""
    from papergen.report.tables import table_of

    size = _largest(rows)
    at_size = {row: params for row, params in rows.items() if params.size == size and params.op != CEILINGS}
    several = {
        params.op
        for params in at_size.values()
        if len({other.dtype for other in at_size.values() if other.op == params.op}) > 1
    }
    chosen = sorted((row for row, params in at_size.items() if params.op in several), key=lambda row: at_size[row].op)
    if not chosen:
        return ()
    table = table_of(
        view.results,
        "dtypes",
        view.experiment,
        ["relative_error", "error_bound", "torch_us", "gflops"],
        rows=chosen,
        labels=lambda row: at_size[row].dtype,
        corner="Operation and dtype",
        show="mean",
        varies={"dtype"},
        marks_best=False,
    )
    grouped = tuple(dataclasses.replace(row, group=OPERATIONS[at_size[row.name].op].label) for row in table.rows)
    return (dataclasses.replace(table, rows=grouped),)


def settings(rows: Mapping[str, Params]) -> Table:
    """The settings shared by all rows, then what the rows go through."""
    from papergen.report.appendix import hyperparameter_table
    from papergen.report.tables import Row

    first = next(row for row, params in rows.items() if params.op != CEILINGS)
    table = hyperparameter_table({first: rows[first]})
    varied = {"op", "size", "dtype", "compiled"}
    kept = [row for row in table.rows if row.name.rpartition(":")[2] not in varied]
    sizes = ", ".join(str(size) for size in sorted({params.size for params in rows.values()}))
    dtypes_ = ", ".join(dict.fromkeys(params.dtype for params in rows.values()))
    group = kept[0].group if kept else ""
    extra = [
        Row(name=f"{group}:{name}", label=name, cells=(value,), group=group)
        for name, value in (("size", sizes), ("dtype", dtypes_))
    ]
    return dataclasses.replace(table, rows=(*extra, *kept))


def roofline(view: View, rows: Mapping[str, Params]) -> tuple[Figure, ...]:
    """Every float32 operation with arithmetic under the measured ceilings; nothing without a row of ceilings."""
    from papergen.report.figures import Figure, Series

    ceiling = _ceiling_row(rows)
    size = _largest(rows)
    at_size = [row for row, params in rows.items() if _is_plain(params) and params.size == size]
    points = {row: _intensity(view, row) for row in at_size if "gflops" in view.finished(row)[0].outcome.metrics}
    if ceiling is None or not points:
        return ()
    peak, main, cached = (view.value(ceiling, name) for name in CEILING_METRICS)
    left, right = min(points.values()) / 2, max(max(points.values()), peak.mean / main.mean) * 2
    series: list[Series] = []
    for label, bandwidth in (("main memory", main), ("cache", cached)):
        ridge = peak.mean / bandwidth.mean
        x = [left, ridge, right] if left < ridge < right else [left, right]
        heights = [min(peak.mean, bandwidth.mean * at) for at in x]
        series.append(Series(label=label, x=x, y=heights, is_curve=True, digests=peak.digests))
    for family in dict.fromkeys(OPERATIONS[rows[row].op].family for row in points):
        of_family = [row for row in points if OPERATIONS[rows[row].op].family == family]
        values = [view.value(row, "gflops") for row in of_family]
        series.append(
            Series(
                label=FAMILIES[family].lower(),
                x=[points[row] for row in of_family],
                y=[value.mean for value in values],
                digests=[digest for value in values for digest in value.digests],
            )
        )
    return (
        Figure(
            name="roofline",
            kind="scatter",
            series=tuple(series),
            x_label="Arithmetic intensity (FLOP/byte)",
            y_label="GFLOP/s",
            x_scale="log",
            y_scale="log",
        ),
    )


CEILING_METRICS = ("peak_gflops", "peak_gbytes_per_s", "cached_gbytes_per_s")


def over_size(view: View, rows: Mapping[str, Params]) -> tuple[Figure, ...]:
    """Time over size: a matrix product by torch and numpy, and attention composed and fused; where sizes vary."""
    from papergen.report.figures import Figure

    wanted = {
        "matmul": (("matmul_2d_2d", "torch_us", "torch"), ("matmul_2d_2d", "numpy_us", "numpy")),
        "attention": (("attention_composed", "torch_us", "composed"), ("attention_sdpa", "torch_us", "fused")),
    }
    figures = []
    for name, lines in wanted.items():
        series = [_line(view, rows, op, metric, label) for op, metric, label in lines]
        if all(one is not None and len(one.x) > 1 for one in series):
            figures.append(
                Figure(
                    name=name,
                    kind="line",
                    series=tuple(one for one in series if one is not None),
                    x_label="Size" if name == "matmul" else "Sequence length",
                    y_label="Time (µs)",
                    x_scale="log",
                    y_scale="log",
                    x_ticks=[float(x) for x in series[0].x] if series[0] else None,
                )
            )
    return tuple(figures)


def method(view: View, rows: Mapping[str, Params]) -> Any:
    """The set-up in words, from the parameters."""
    from papergen.report.tex import Tex

    first = next(params for params in rows.values() if params.op != CEILINGS)
    sizes = sorted({params.size for params in rows.values() if params.op != CEILINGS})
    names = {params.op for params in rows.values() if params.op != CEILINGS}
    threads = {view.finished(row)[0].provenance.num_threads for row in rows}
    if view.language == "zh":
        return Tex(_method_zh(rows, sizes, len(names), sorted(threads)))
    roof = (
        " What a row reaches is set beside the ceilings of the roofline model~\\cite{williams2009roofline}, which are "
        "measured on the same machine: the fastest of several large products, and copies of large and of small arrays."
        if any(params.op == CEILINGS for params in rows.values())
        else ""
    )
    return Tex(
        f"We measure {len(names)} tensor operations of PyTorch~\\cite{{paszke2019pytorch}} on standard normal operands "
        f"of about $n^2$ elements, $n = {', '.join(map(str, sizes))}$. "
        f"Before an operation is timed, its result is compared with that of NumPy~\\cite{{harris2020array}} in double "
        f"precision on the same operands: what moves elements must agree bit for bit, what computes within the bound "
        f"that rounding explains. Time is taken in {first.num_rounds} rounds in which PyTorch and NumPy take turns, "
        f"each for at least {first.min_run_time_s * 1000:g}\\,ms after a warm-up, "
        f"with {' or '.join(str(n) for n in sorted(threads))} CPU thread{'s' if max(threads) > 1 else ''}; a round's "
        f"figure is the median of its blocks. Throughput counts the bytes that must be read and written at least "
        f"once.{roof}\n"
    )


def _method_zh(rows: Mapping[str, Params], sizes: Sequence[int], num_operations: int, threads: Sequence[int]) -> str:
    first = next(params for params in rows.values() if params.op != CEILINGS)
    roof = (
        "各行所达到的速度与屋顶线模型~\\cite{williams2009roofline} 的上限相比较，这些上限在同一台机器上测得："
        "几个大型乘积中最快的一个，以及大数组和小数组的复制。"
        if any(params.op == CEILINGS for params in rows.values())
        else ""
    )
    return (
        f"我们测量 PyTorch~\\cite{{paszke2019pytorch}} 的 {num_operations} 种张量运算，"
        f"操作数服从标准正态分布，各约有 $n^2$ 个元素，$n = {', '.join(map(str, sizes))}$。"
        f"计时之前，先把结果与 NumPy~\\cite{{harris2020array}} "
        f"在同样操作数上的双精度结果相比较：只移动元素的运算必须逐位一致，有计算的运算不得超过舍入所能解释的误差。"
        f"计时共 {first.num_rounds} 轮，PyTorch 与 NumPy 轮流进行，"
        f"预热之后各至少 {first.min_run_time_s * 1000:g}\\,ms，"
        f"使用 {' 或 '.join(map(str, threads))} 个 CPU 线程；一轮的数值是其各段的中位数。"
        f"吞吐量按至少要读写一次的字节计。{roof}\n"
    )


def _params(view: View, row: str) -> Params:
    params = view.params(row)
    assert isinstance(params, Params)
    return params


def _is_plain(params: Params) -> bool:
    """An operation in the default dtype."""
    return params.op != CEILINGS and params.dtype == "float32"


def _largest(rows: Mapping[str, Params]) -> int:
    return max(params.size for params in rows.values() if params.op != CEILINGS)


def _intensity(view: View, row: str) -> float:
    return float(view.finished(row)[0].outcome.facts["flops_per_byte"])


def _ceiling_row(rows: Mapping[str, Params]) -> str | None:
    """The row that measured the ceilings for float32."""
    return next((row for row, params in rows.items() if params.op == CEILINGS and params.dtype == "float32"), None)


def _share(view: View, row: str, ceiling: str) -> Value | None:
    """Per cent of what the roofline grants an operation of its arithmetic intensity; of the bandwidth without any."""
    metrics = view.finished(row)[0].outcome.metrics
    bandwidth = view.value(ceiling, "peak_gbytes_per_s").mean
    if "gflops" in metrics:
        granted = min(view.value(ceiling, "peak_gflops").mean, bandwidth * _intensity(view, row))
        return dataclasses.replace(view.value(row, "gflops").scaled(100 / granted), key=f"{row}/share", unit="%")
    if "gbytes_per_s" in metrics:
        return dataclasses.replace(
            view.value(row, "gbytes_per_s").scaled(100 / bandwidth), key=f"{row}/share", unit="%"
        )
    return None


def _with_memory(view: View, row: Row, group: str) -> Row:
    """The table's row in its family, led by whether the result is a view."""
    shares = view.finished(row.name)[0].outcome.facts.get("shares_memory")
    word: Cell = None if shares is None else "view" if shares else "new"
    return dataclasses.replace(row, group=group, cells=(word, *row.cells))


def _line(view: View, rows: Mapping[str, Params], op: str, metric: str, label: str) -> Series | None:
    """One operation's metric over size, with intervals over the rounds."""
    from papergen.report.figures import Series

    chosen = sorted((params.size, row) for row, params in rows.items() if params.op == op and _is_plain(params))
    chosen = [(size, row) for size, row in chosen if metric in view.finished(row)[0].outcome.metrics]
    if not chosen:
        return None
    values: Sequence[Value] = [view.value(row, metric) for _, row in chosen]
    has_intervals = all(value.low is not None and value.high is not None and value.low > 0 for value in values)
    return Series(
        label=label,
        x=[float(size) for size, _ in chosen],
        y=[value.mean for value in values],
        low=[value.low or 0.0 for value in values] if has_intervals else None,
        high=[value.high or 0.0 for value in values] if has_intervals else None,
        digests=[digest for value in values for digest in value.digests],
    )
