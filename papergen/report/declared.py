"""Tables and figures as paper.yaml declares them, made from the results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from papergen.config.paper import FigureSpec, TableSpec
from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.phrase import Phrase, said
from papergen.latex.text import Escape
from papergen.report.figures.figure import Figure, Series
from papergen.report.results import NotApplicableError, Results
from papergen.report.tables.table import Index, Table, marked_against, table_of
from papergen.report.values import Text, Value, value_of


def table_from(results: Results, name: str, spec: TableSpec) -> Table:
    """The table; PapergenError names the row, column or metric that there is not."""
    _known(results, spec.source, [*(spec.rows or ()), *spec.labels, *spec.row_groups, *spec.references], "row")
    table = table_of(
        results,
        name,
        spec.source,
        spec.columns,
        rows=spec.rows,
        labels=spec.labels,
        corner=spec.corner,
        show=spec.show,
        groups=spec.groups,
        references=spec.references,
        with_n=spec.n,
        varies=spec.varies,
        marks_best=spec.bold,
        marks_second=spec.bold,
    )
    for option, metrics in (("headings", spec.headings), ("groups", spec.groups), ("decimals", spec.decimals)):
        for metric in metrics:
            if metric not in spec.columns:
                raise PapergenError(f"{option}: {metric} is no column. {did_you_mean(metric, spec.columns)}")
    columns = tuple(
        replace(
            column,
            heading=spec.headings.get(column.name, column.heading),
            decimals=spec.decimals.get(column.name, column.decimals),
            percent=column.name in spec.percent or column.percent,
        )
        for column in table.columns
    )
    rows = tuple(replace(row, group=spec.row_groups.get(row.name, row.group)) for row in table.rows)
    table = replace(table, columns=columns, rows=rows)
    if spec.against is not None:
        table = marked_against(table, spec.against, level=spec.level)
    return table[parse_slice(spec.slice)] if spec.slice else table


STARS = {
    "en": r" $^{{*}}$: differs from {row} at $p < {level:g}$ (paired $t$ test, Welch's where the numbers share no "
    "units, with Holm's correction within the column).",
    "zh": r"$^{{*}}$ 表示与 {row} 有显著差异（配对 $t$ 检验，无共同单元时为 Welch 检验，"
    r"列内经 Holm 校正后 $p < {level:g}$）。",
}


def stars_said(results: Results, table: Table, spec: TableSpec, escape: Escape, language: str) -> str:
    """What the stars of a table say, as the end of its caption; "" where it has none."""
    if spec.against is None or not table.notes:
        return ""
    label = spec.labels.get(spec.against) or said(results.row_label(spec.source, spec.against), language)
    return STARS[language].format(row=escape(label), level=spec.level)


def parse_slice(text: str) -> tuple[Index, Index]:
    """`[1:, 0::2]` as rows and columns; one part alone is the rows. Numbers, names and lists of them in brackets."""
    part = r"[^\[\],]*|\s*\[[^\[\]]*\]\s*"
    match = re.fullmatch(rf"\s*\[(?P<rows>{part})(?:,(?P<columns>{part}))?\]\s*", text)
    if match is None:
        raise PapergenError(f'slice: {text!r} is not of the form "[1:, 0::2]" or "[:, [rep_4, mauve]]".')
    return _index(match["rows"], text), _index(match["columns"] if match["columns"] is not None else ":", text)


def _index(part: str, whole: str) -> Index:
    word = part.strip()
    if ":" in word:
        ends = [end.strip() for end in word.split(":")]
        if len(ends) > 3 or not all(re.fullmatch(r"-?\d*", end) for end in ends) or ends[2:] == ["0"]:
            raise PapergenError(f"slice: {whole!r}: {word!r} is no start:stop:step.")
        return slice(*(int(end) if end else None for end in ends))
    if word.startswith("["):
        return [_one(item, whole) for item in word.strip("[]").split(",")]
    return [_one(word, whole)]


def _one(item: str, whole: str) -> int | str:
    word = item.strip().strip("'\"")
    if not word:
        raise PapergenError(f"slice: {whole!r}: a number or a name is missing.")
    return int(word) if re.fullmatch(r"-?\d+", word) else word


def figure_from(results: Results, name: str, spec: FigureSpec) -> Figure:
    """The figure of a spec without a function; PapergenError as for a table."""
    rows = list(results.rows(spec.source) if spec.rows is None else spec.rows)
    _known(results, spec.source, [*rows, *spec.labels, *spec.references], "row")
    makers = {"line": _logged, "band": _logged, "bar": _bars, "scatter": _points, "hist": _samples}
    series, x_label, y_label = makers[spec.kind](results, spec, rows)
    if not series:
        raise PapergenError(f"no row of {spec.source} reports {spec.y}.")
    return Figure(
        name=name,
        kind=spec.kind,
        series=series,
        x_label=spec.x_label or x_label,
        y_label=spec.y_label or y_label,
        x_scale=spec.x_scale,
        y_scale=spec.y_scale,
        width=spec.width,
        aspect=spec.aspect,
    )


Made = tuple[list[Series], str, str]


def _logged(results: Results, spec: FigureSpec, rows: Sequence[str]) -> Made:
    series = []
    for row in rows:
        band = results.series(spec.source, row, spec.y)
        digests = [result.trial.digest for result in results.finished(spec.source, row)]
        series.append(
            Series(
                label=_label(results, spec, row),
                x=band.steps,
                y=band.mean,
                low=band.low,
                high=band.high,
                is_reference=row in spec.references,
                digests=digests,
            )
        )
    return series, Phrase("Steps", "步数"), results.metric(spec.source, spec.y).label


def _bars(results: Results, spec: FigureSpec, rows: Sequence[str]) -> Made:
    values = _values(results, spec, rows, spec.y)
    has_intervals = all(value.low is not None for value in values.values())
    bars = Series(
        label="",
        x=[_label(results, spec, row) for row in values],
        y=[value.mean for value in values.values()],
        low=[value.low or 0.0 for value in values.values()] if has_intervals else None,
        high=[value.high or 0.0 for value in values.values()] if has_intervals else None,
        digests=[digest for value in values.values() for digest in value.digests],
    )
    return [bars] if values else [], "", _axis(results, spec, spec.y)


def _points(results: Results, spec: FigureSpec, rows: Sequence[str]) -> Made:
    across, upwards = _values(results, spec, rows, spec.x), _values(results, spec, rows, spec.y)
    shown = [row for row in rows if row in across and row in upwards]
    series = [
        Series(
            label="",
            x=[across[row].mean],
            y=[upwards[row].mean],
            names=[_label(results, spec, row)],
            is_reference=row in spec.references,
            digests=[*across[row].digests, *upwards[row].digests],
        )
        for row in shown
    ]
    return series, _axis(results, spec, spec.x), _axis(results, spec, spec.y)


def _samples(results: Results, spec: FigureSpec, rows: Sequence[str]) -> Made:
    series = [
        Series(label=_label(results, spec, row), x=list(value.samples), digests=value.digests)
        for row, value in _values(results, spec, rows, spec.y).items()
        if value.samples
    ]
    return series, _axis(results, spec, spec.y), Phrase("Count", "频数")


def _values(results: Results, spec: FigureSpec, rows: Sequence[str], metric: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for row in rows:
        try:
            value = value_of(results, f"{spec.source}/{row}/{metric}")
        except NotApplicableError:
            continue
        if isinstance(value, Text):
            raise PapergenError(f"{value.key}: is a text, which cannot be drawn.")
        found[row] = value
    return found


def _axis(results: Results, spec: FigureSpec, metric: str) -> str:
    return results.metric(spec.source, metric).axis


def _label(results: Results, spec: FigureSpec, row: str) -> str:
    return spec.labels.get(row) or results.row_label(spec.source, row)


def _known(results: Results, experiment: str, names: Sequence[str], what: str) -> None:
    known = results.rows(experiment)
    for name in names:
        if name not in known:
            raise PapergenError(f"{experiment} has no {what} {name!r}. {did_you_mean(name, known)}")
