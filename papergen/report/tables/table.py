"""A table as plain data: columns, rows and cells that know the results they came from, and how results become one.

"---" stands only where a metric does not exist for a row, "n/a" where the row cannot run on the device that was tried;
the reason stands below the table. `tabular` and `long` make LaTeX of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from papergen.core.errors import PapergenError, did_you_mean
from papergen.latex.text import Tex
from papergen.report.comparison import require_comparable
from papergen.report.derived import compare
from papergen.report.results import NotApplicableError, Results, UnavailableError
from papergen.report.statistics import holm
from papergen.report.values import Text, Value, value_of

Index = int | slice | str | Sequence[int | str]


@dataclass(frozen=True)
class NotAvailable:
    """n/a: the row cannot run on the device that was tried; `reason` says why, in a sentence."""

    reason: str

    def __str__(self) -> str:
        return "n/a"


Cell = Value | Text | NotAvailable | str | Tex | None
"""A number, a text, n/a with its reason, or None where the metric does not exist for the row."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column and how its cells are shown."""

    name: str
    heading: str | Tex
    align: Literal["l", "c", "r"] = "c"
    group: str = ""
    """Heading above neighbouring columns of the same group."""
    unit: str = ""
    direction: Literal["higher", "lower", "none"] = "none"
    target: str = ""
    """Row whose value is the aim: the best is then the nearest to it."""
    show: Literal["pm", "mean", "n"] = "pm"
    decimals: int | None = None
    """Fixed decimals; None derives them from the intervals."""
    significant: int | None = None
    """Digits of each number by itself, decimal points under each other: for a column over orders of magnitude."""
    percent: bool = False
    """Show a fraction in per cent."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its label and one cell per column."""

    name: str
    label: str | Tex
    cells: tuple[Cell, ...]
    is_reference: bool = False
    """A yardstick (human text): never marked as best, set apart by a rule."""
    group: str = ""
    """Rows of one group stand together, under its name when it has one."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that knows its numbers; frozen, so that its bytes follow from its data."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    corner: str | Tex = ""
    """Heading of the labels."""
    marks_best: bool = True
    marks_second: bool = True
    notes: Mapping[tuple[str, str], str] | None = None
    """(row, column) -> TeX put after a number, such as a dagger."""
    shown: tuple[int, int] | None = None
    """First and last (exclusive) row that is printed, of a part of a long table; digits and marks are the whole's."""
    is_long: bool = False
    """Whether its rows go on over columns and pages (`long.long_tex`) instead of standing in one box."""

    def __getitem__(self, index: tuple[Index, Index]) -> Table:
        """Rows and columns by number, slice, name or list of those: `table[1:3, ["rep_4", "mauve"]]`."""
        rows = _select([row.name for row in self.rows], index[0], f"table {self.name}: row")
        columns = _select([column.name for column in self.columns], index[1], f"table {self.name}: column")
        return replace(
            self,
            columns=tuple(self.columns[i] for i in columns),
            rows=tuple(
                replace(row, cells=tuple(row.cells[i] for i in columns)) for row in (self.rows[i] for i in rows)
            ),
        )

    @property
    def values(self) -> tuple[Value, ...]:
        """Every number in it, in reading order."""
        return tuple(cell for row in self.rows for cell in row.cells if isinstance(cell, Value))

    @property
    def digests(self) -> tuple[str, ...]:
        """The trials behind it."""
        return tuple(dict.fromkeys(digest for value in self.values for digest in value.digests))

    @property
    def footnotes(self) -> list[str]:
        """Why cells print n/a, each reason once, in reading order."""
        cells = (cell for row in self.rows for cell in row.cells)
        return list(dict.fromkeys(cell.reason for cell in cells if isinstance(cell, NotAvailable)))


def table_of(
    results: Results,
    name: str,
    experiment: str,
    metrics: Sequence[str],
    *,
    rows: Sequence[str] | None = None,
    labels: Mapping[str, str | Tex] | Callable[[str], str | Tex] | None = None,
    corner: str | Tex = "",
    show: Literal["pm", "mean"] = "pm",
    groups: Mapping[str, str] | None = None,
    references: Collection[str] = (),
    with_n: bool = False,
    varies: Collection[str] = (),
    marks_best: bool = True,
    marks_second: bool = True,
) -> Table:
    """A table of an experiment: `rows` down (all in plan order by default), `metrics` across.

    `labels` maps a row to what is printed for it (else `Results.row_label`); `groups` a metric to the heading above it.
    The rows that are the target of a metric (a human reference) and `references` are set apart, on top unless `rows`
    says otherwise. `varies` names what may differ between rows that are otherwise refused as not comparable ("data",
    "dtype", "hardware").
    """
    chosen = list(results.rows(experiment) if rows is None else rows)
    cells = {row: [_cell(results, f"{experiment}/{row}/{metric}") for metric in metrics] for row in chosen}
    shown = {
        f"{experiment}/{row}": [m for m, cell in zip(metrics, of_row, strict=True) if isinstance(cell, Value)]
        for row, of_row in cells.items()
    }
    require_comparable(results, f"table {name}", shown, varies=varies)
    columns: list[Column] = []
    targets: set[str] = set(references)
    for metric in (results.metric(experiment, metric) for metric in metrics):
        target = metric.closest_to if metric.closest_to in chosen else ""
        targets |= {target} if target else set()
        columns.append(
            Column(
                name=metric.name,
                heading=metric.label,
                group=(groups or {}).get(metric.name, ""),
                unit=metric.unit,
                direction=metric.direction,
                target=target or "",
                show=show,
            )
        )
    if with_n:
        columns.append(Column(name="n", heading=Tex("$n$"), show="n"))
    label = labels if callable(labels) else (labels or {}).get
    return Table(
        name=name,
        columns=tuple(columns),
        rows=tuple(
            Row(
                name=row,
                label=label(row) or results.row_label(experiment, row),
                cells=(*cells[row], *([_first_value(cells[row])] if with_n else [])),
                is_reference=row in targets,
            )
            for row in (sorted(chosen, key=lambda row: row not in targets) if rows is None else chosen)
        ),
        corner=corner,
        marks_best=marks_best,
        marks_second=marks_second,
    )


def marked_against(table: Table, baseline: str, *, level: float = 0.05, mark: str = r"$^{*}$") -> Table:
    """The table with a mark on every number that differs significantly from that of the row `baseline`.

    Paired tests where the units are shared, Holm's correction within each column; numbers of one unit, or
    that do not vary, are not tested.
    """
    at = _select([row.name for row in table.rows], baseline, f"table {table.name}: row")[0]
    notes: dict[tuple[str, str], str] = dict(table.notes or {})
    for index, column in enumerate(table.columns):
        base = table.rows[at].cells[index]
        tested = {
            row.name: compare(cell, base).p
            for row in table.rows
            if row.name != baseline
            and isinstance(cell := row.cells[index], Value)
            and isinstance(base, Value)
            and column.show != "n"
        }
        for name, p in zip(tested, holm(list(tested.values())), strict=True):
            if p is not None and p < level:
                notes[name, column.name] = mark
    return replace(table, notes=notes)


def _cell(results: Results, key: str) -> Cell:
    try:
        return value_of(results, key)
    except UnavailableError as error:
        return NotAvailable(error.reason)
    except NotApplicableError:
        return None


def _first_value(cells: Sequence[Cell]) -> Cell:
    """The number whose n the row shows: one over prompts where there is one."""
    values = [cell for cell in cells if isinstance(cell, Value)]
    return next((value for value in values if value.over != "seeds"), values[0] if values else None)


def _select(names: Sequence[str], index: Index, what: str) -> list[int]:
    if isinstance(index, slice):
        return list(range(*index.indices(len(names))))
    chosen: list[int] = []
    for item in [index] if isinstance(index, int | str) else index:
        if isinstance(item, str):
            if item not in names:
                raise PapergenError(f"{what} {item!r} does not exist. {did_you_mean(item, names)}")
            chosen.append(names.index(item))
        elif -len(names) <= item < len(names):
            chosen.append(item % len(names))
        else:
            raise PapergenError(f"{what} {item} does not exist: there are {len(names)}.")
    return chosen
