"""Tensor operations in a paper: all at the largest size, across dtypes and devices, compiled, and time over size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from papergen.core.phrase import Phrase
from papergen.ml.ops.catalogue import CEILINGS, OPERATIONS
from papergen.ml.ops.roofline import Reached, Roof
from papergen.ml.ops.settings import OpsSettings
from papergen.ml.words import SPEED_UP
from papergen.report.appendix import hyperparameter_table
from papergen.report.derived import ratio
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import View
from papergen.report.tables.table import Cell, Column, NotAvailable, Row, Table, table_of
from papergen.report.values import Value

DEFAULT_DTYPE = "float32"
SIGNIFICANT = 3
"""Digits of times and throughputs, which span six orders of magnitude in one column."""

FAMILIES = {
    "product": Phrase("Products", "矩阵乘法"),
    "attention": Phrase("Attention", "注意力"),
    "elementwise": Phrase("Elementwise", "逐元素"),
    "mask": Phrase("Masks", "掩码"),
    "shape": Phrase("Shapes", "形状"),
    "slice": Phrase("Slices", "切片"),
    "creation": Phrase("Creation", "创建"),
}


def settings_of(view: View) -> dict[str, OpsSettings]:
    """Row -> its parameters, of every row in plan order; those that cannot run here too."""
    found = {}
    for row in view.results.rows(view.experiment):
        params = view.params(row)
        assert isinstance(params, OpsSettings)
        found[row] = params
    return found


def plain_rows(view: View, rows: Mapping[str, OpsSettings], *, size: int | None = None) -> dict[str, OpsSettings]:
    """The finished operations in the default dtype, on the run's device, at that size if given; each op and size once.

    A row that times the compiled operation as well counts only where no other times that operation at that size.
    """
    chosen = {
        row: params
        for row, params in rows.items()
        if params.op != CEILINGS
        and params.dtype == DEFAULT_DTYPE
        and params.device is None
        and size in {None, params.size}
        and row not in view.unavailable
    }
    seen: set[tuple[str, int]] = set()
    kept: list[str] = []
    for row in sorted(chosen, key=lambda row: chosen[row].compiled):
        if (cell := (chosen[row].op, chosen[row].size)) not in seen:
            seen.add(cell)
            kept.append(row)
    return {row: params for row, params in chosen.items() if row in kept}


def largest(rows: Mapping[str, OpsSettings]) -> int:
    """The largest size of an operation."""
    return max(params.size for params in rows.values() if params.op != CEILINGS)


def roof_of(view: View, rows: Mapping[str, OpsSettings]) -> Roof | None:
    """The ceilings that were measured for the default dtype on the run's device; None without such a row."""
    for row, params in rows.items():
        if params.op == CEILINGS and params.dtype == DEFAULT_DTYPE and params.device is None:
            measured = view.finished(row)[0].outcome.facts["bandwidths"]
            return Roof(peak=view.value(row, "peak_gflops"), bandwidths=[(size, rate) for size, rate in measured])
    return None


def reached(view: View, row: str) -> Reached | None:
    """The throughput of a row; None where nothing is moved (a view) or the bytes are not those of the dtype."""
    outcome = view.finished(row)[0].outcome
    if "gbytes_per_s" not in outcome.metrics:
        return None
    has_flops = "gflops" in outcome.metrics
    return Reached(
        gbytes_per_s=view.value(row, "gbytes_per_s"),
        num_bytes=float(outcome.facts["num_bytes"]),
        gflops=view.value(row, "gflops") if has_flops else None,
        flops_per_byte=float(outcome.facts["flops_per_byte"]) if has_flops else 0.0,
    )


def by_family(view: View, rows: Mapping[str, OpsSettings]) -> dict[str, list[Reached]]:
    """Family -> the throughput of its rows, families in the order of the table."""
    found: dict[str, list[Reached]] = {}
    for family, label in FAMILIES.items():
        of_family = [reached(view, row) for row, params in rows.items() if OPERATIONS[params.op].family == family]
        if some := [one for one in of_family if one is not None]:
            found[Phrase(label.lower(), label.zh)] = some
    return found


def operations(view: View, rows: Mapping[str, OpsSettings], roof: Roof | None) -> Table:
    """Accuracy, memory, time and throughput of every operation at the largest size; its share of the roof."""
    chosen = plain_rows(view, rows, size=largest(rows))
    order = list(FAMILIES)
    table = _table(
        view,
        "operations",
        ["relative_error", "torch_us", "numpy_us", "gflops", "gbytes_per_s"],
        {
            row: OPERATIONS[chosen[row].op].label
            for row in sorted(chosen, key=lambda row: order.index(OPERATIONS[chosen[row].op].family))
        },
        corner=Phrase("Operation", "运算"),
    )
    columns = [Column(name="copies", heading=Phrase("Result", "结果")), *table.columns]
    lines = [
        replace(
            row,
            group=FAMILIES[OPERATIONS[chosen[row.name].op].family],
            cells=(_memory(view, row.name, chosen[row.name].op), *row.cells),
        )
        for row in table.rows
    ]
    if roof is not None:
        columns.append(
            Column(name="share", heading=Phrase("Of ceiling", "占上限"), unit="%", show="mean", significant=SIGNIFICANT)
        )
        lines = [replace(row, cells=(*row.cells, _share(view, row.name, roof))) for row in lines]
    return replace(table, columns=tuple(columns), rows=tuple(lines))


def dtypes(view: View, rows: Mapping[str, OpsSettings]) -> list[Table]:
    """The operations that were run in several dtypes, at the largest size; nothing when none was."""
    at_size = {
        row: params
        for row, params in rows.items()
        if params.size == largest(rows) and params.op != CEILINGS and params.device is None and not params.compiled
    }
    dtypes_of: dict[str, set[str]] = {}
    for params in at_size.values():
        dtypes_of.setdefault(params.op, set()).add(params.dtype)
    labels = {row: params.dtype for row, params in at_size.items() if len(dtypes_of[params.op]) > 1}
    metrics = ["relative_error", "error_bound", "torch_us", "gflops"]
    return _grouped(
        view, rows, "dtypes", metrics, labels, corner=Phrase("Operation and dtype", "运算与类型"), varies=("dtype",)
    )


def devices(view: View, rows: Mapping[str, OpsSettings]) -> list[Table]:
    """The rows that name their device, one operation after the other; nothing when none does."""
    named = {row: params for row, params in rows.items() if params.device is not None and params.op != CEILINGS}
    sizes = {params.size for params in named.values()}
    labels = {
        row: ", ".join([str(params.device), *([f"n = {params.size}"] if len(sizes) > 1 else [])])
        for row, params in named.items()
    }
    metrics = ["relative_error", "torch_us", "gflops", "gbytes_per_s"]
    return _grouped(
        view,
        rows,
        "devices",
        metrics,
        labels,
        corner=Phrase("Operation and device", "运算与设备"),
        varies=("dtype", "hardware"),
    )


def compiled(view: View, rows: Mapping[str, OpsSettings]) -> list[Table]:
    """The rows that were timed under torch.compile as well, at the largest size among them; nothing when none was."""
    size = max((params.size for params in rows.values() if params.compiled), default=0)
    labels = {
        row: OPERATIONS[params.op].label for row, params in rows.items() if params.compiled and params.size == size
    }
    if not labels:
        return []
    table = _table(
        view,
        "compiled",
        ["numpy_us", "torch_us", "compiled_us"],
        labels,
        corner=Phrase("Operation", "运算"),
        varies=("dtype",),
    )
    column = Column(name="speed_up", heading=SPEED_UP, show="mean", significant=SIGNIFICANT)
    lines = [replace(row, cells=(*row.cells, _speed_up(view, row.name))) for row in table.rows]
    return [replace(table, columns=(*table.columns, column), rows=tuple(lines))]


def settings(rows: Mapping[str, OpsSettings]) -> Table:
    """The settings shared by all rows, then what the rows go through."""
    first = next(row for row, params in rows.items() if params.op != CEILINGS)
    table = hyperparameter_table({first: rows[first]})
    varied = {"op", "size", "dtype", "device", "compiled"}
    kept = [row for row in table.rows if row.name.rpartition(":")[2] not in varied]
    sizes = ", ".join(str(size) for size in sorted({params.size for params in rows.values()}))
    types = ", ".join(dict.fromkeys(params.dtype for params in rows.values()))
    group = kept[0].group if kept else ""
    extra = [
        Row(name=f"{group}:{name}", label=name, cells=(value,), group=group)
        for name, value in (("size", sizes), ("dtype", types))
    ]
    return replace(table, rows=(*extra, *kept))


def over_size(view: View, rows: Mapping[str, OpsSettings]) -> list[Figure]:
    """Time over size: a matrix product by torch and numpy, and attention composed and fused; where sizes vary."""
    wanted = {
        "matmul": (("matmul_2d_2d", "torch_us", "torch"), ("matmul_2d_2d", "numpy_us", "numpy")),
        "attention": (
            ("attention_composed", "torch_us", Phrase("composed", "组合")),
            ("attention_sdpa", "torch_us", Phrase("fused", "融合")),
        ),
    }
    figures = []
    for name, lines in wanted.items():
        found = [_line(view, plain_rows(view, rows), op, metric, label) for op, metric, label in lines]
        series = [one for one in found if one is not None and one.num_points > 1]
        if len(series) == len(lines):
            figures.append(
                Figure(
                    name=name,
                    kind="line",
                    series=series,
                    x_label=Phrase("Size", "规模") if name == "matmul" else Phrase("Sequence length", "序列长度"),
                    y_label=Phrase("Time (µs)", "时间 (µs)"),
                    x_scale="log",
                    y_scale="log",
                    x_ticks=[float(x) for x in series[0].x],
                )
            )
    return figures


def _table(
    view: View,
    name: str,
    metrics: Sequence[str],
    labels: Mapping[str, str],
    *,
    corner: str,
    varies: Sequence[str] = (),
) -> Table:
    """Rows without marks or arrows: operations are not rivals of each other."""
    table = table_of(
        view.results,
        name,
        view.experiment,
        metrics,
        rows=list(labels),
        labels=labels,
        corner=corner,
        show="mean",
        varies=varies,
        marks_best=False,
    )
    errors = {"relative_error", "error_bound"}
    columns = [
        replace(column, direction="none", significant=None if column.name in errors else SIGNIFICANT)
        for column in table.columns
    ]
    return replace(table, columns=tuple(columns))


def _grouped(
    view: View,
    rows: Mapping[str, OpsSettings],
    name: str,
    metrics: Sequence[str],
    labels: Mapping[str, str],
    *,
    corner: str,
    varies: Sequence[str],
) -> list[Table]:
    """The rows operation by operation, in the order of the catalogue; no table without rows."""
    if not labels:
        return []
    order = list(OPERATIONS)
    ordered = {row: labels[row] for row in sorted(labels, key=lambda row: order.index(rows[row].op))}
    table = _table(view, name, metrics, ordered, corner=corner, varies=varies)
    return [replace(table, rows=tuple(replace(row, group=OPERATIONS[rows[row.name].op].label) for row in table.rows))]


def _share(view: View, row: str, roof: Roof) -> Value | None:
    found = reached(view, row)
    return None if found is None else roof.share(found, f"{row}/share")


def _speed_up(view: View, row: str) -> Cell:
    """Torch's time over that of the compiled operation."""
    if row in view.unavailable:
        return NotAvailable(view.unavailable[row])
    return ratio(view.value(row, "torch_us"), view.value(row, "compiled_us"))


def _memory(view: View, row: str, op: str) -> Cell:
    """Where the result lies; None for what has no operand."""
    shares = view.finished(row)[0].outcome.facts.get("shares_memory")
    if shares is None:
        return None
    if not shares:
        return Phrase("new", "新建")
    return "out" if "out=" in OPERATIONS[op].torch else Phrase("view", "视图")


def _line(view: View, rows: Mapping[str, OpsSettings], op: str, metric: str, label: str) -> Series | None:
    """One operation's metric over size, with intervals over the rounds."""
    chosen = sorted((params.size, row) for row, params in rows.items() if params.op == op)
    chosen = [(size, row) for size, row in chosen if metric in view.finished(row)[0].outcome.metrics]
    if not chosen:
        return None
    values = [view.value(row, metric) for _, row in chosen]
    has_intervals = all(value.low is not None and value.high is not None and value.low > 0 for value in values)
    return Series(
        label=label,
        x=[float(size) for size, _ in chosen],
        y=[value.mean for value in values],
        low=[value.low or 0.0 for value in values] if has_intervals else None,
        high=[value.high or 0.0 for value in values] if has_intervals else None,
        digests=[digest for value in values for digest in value.digests],
    )
