r"""Tables as plain data, printed as a booktabs `tabular` without a float: caption and label are the author's.

Numbers of a column share their decimals and stand under each other (padded with phantoms, so that booktabs is all they
need); the best mean is bold, the second underlined. "---" stands only where a metric does not exist for a row, "n/a"
where the row cannot run on the device that was tried; the reason stands below the table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from papergen.core.errors import PapergenError, did_you_mean
from papergen.latex.text import Escape, Tex, as_tex, escape
from papergen.report.comparable import require_comparable
from papergen.report.derived import compare
from papergen.report.formats import number_of, plain
from papergen.report.results import NotApplicableError, Results, UnavailableError
from papergen.report.statistics import holm
from papergen.report.tables.cells import (
    Cell,
    NotAvailable,
    around_point,
    ems,
    footnoted,
    number_in_tex,
    padding,
    text_of,
)
from papergen.report.tables.digits import digits
from papergen.report.values import Text, Value, value_of

Index = int | slice | str | Sequence[int | str]

ARROWS = {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "none": ""}
SIZES = ("", "small", "footnotesize", "scriptsize")
POINTS = {"": 10.0, "small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
"""Font sizes of a ten-point class."""


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
    """Whether its rows go on over columns and pages (`long_tables.long_tex`) instead of standing in one box."""

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

    def to_tex(self, escape: Escape = escape, *, width_in: float | None = None) -> Tex:
        """The tabular; with `width_in`, in the largest of the usual sizes in which it fits that width."""
        body = "\n".join(
            [
                rf"\begin{{tabular}}{{@{{}}l{''.join(column.align for column in self.columns)}@{{}}}}",
                r"\toprule",
                *self._heading(escape),
                r"\midrule",
                *self._body(escape),
                r"\bottomrule",
                r"\end{tabular}",
            ]
        )
        body = footnoted(body, [as_tex(reason, escape) for reason in self.footnotes])
        if width_in is None:
            return Tex(body + "\n")
        size, separation = self.fitting(width_in) or (SIZES[-1], 2.0)
        command = f"\\{size}" if size else ""
        return Tex(f"{{{command}\\setlength{{\\tabcolsep}}{{{separation:g}pt}}%\n{body}}}\n")

    def fits(self, width_in: float) -> bool:
        """Whether it fits that width in one of the usual sizes; if not, it wants `table*`."""
        return self.fitting(width_in) is not None

    def fitting(self, width_in: float) -> tuple[str, float] | None:
        """Size and \\tabcolsep (pt) in which it fits, by an estimate of the widths of Times; None when nothing does."""
        width = sum(self.widths_em())
        for size in SIZES:
            for separation in (6.0, 4.0, 3.0):
                if POINTS[size] * width + 2 * separation * len(self.columns) <= width_in * 72.27:
                    return size, separation
        return None

    def _heading(self, escape: Escape) -> list[str]:
        lines: list[str] = []
        groups = [column.group for column in self.columns]
        if any(groups):
            cells, rules, start = [], [], 0
            while start < len(groups):
                end = start
                while end + 1 < len(groups) and groups[end + 1] == groups[start]:
                    end += 1
                cells.append(rf"\multicolumn{{{end - start + 1}}}{{c}}{{{escape(groups[start])}}}")
                if groups[start]:
                    rules.append(rf"\cmidrule(lr){{{start + 2}-{end + 2}}}")
                start = end + 1
            lines += [f" & {' & '.join(cells)} \\\\", "".join(rules)]
        headings = [as_tex(self.corner, escape), *(self.column_heading(column, escape) for column in self.columns)]
        return [*lines, f"{' & '.join(headings)} \\\\"]

    def column_heading(self, column: Column, escape: Escape) -> str:
        """The heading of a column with its unit and the arrow of its direction."""
        text = as_tex(column.heading, escape)
        unit = "%" if column.percent else column.unit
        if unit and column.show != "n":
            text += f" ({escape(unit)})"
        arrow = ARROWS[column.direction] if not column.target and column.show != "n" else ""
        return f"{text}~{arrow}" if arrow else text

    def _body(self, escape: Escape) -> list[str]:
        printed = [self.column_cells(index, escape) for index in range(len(self.columns))]
        lines: list[str] = []
        start, end = self.shown or (0, len(self.rows))
        for index, row in list(enumerate(self.rows))[start:end]:
            before = self.rows[index - 1] if index > start else None
            if before is not None and before.is_reference != row.is_reference:
                lines.append(r"\midrule")
            elif before is not None and before.group != row.group:
                lines.append(r"\addlinespace")
            if row.group and (before is None or before.group != row.group):
                lines.append(rf"\multicolumn{{{len(self.columns) + 1}}}{{@{{}}l}}{{\emph{{{escape(row.group)}}}}} \\")
            label = ("\\quad " if row.group else "") + as_tex(row.label, escape)
            lines.append(f"{' & '.join([label, *(cells[index] for cells in printed)])} \\\\")
        return lines

    def column_cells(self, index: int, escape: Escape) -> list[str]:
        """The TeX of every cell of a column, numbers padded to stand under each other, the best marked."""
        column = self.columns[index]
        cells = [row.cells[index] for row in self.rows]
        numbers = {at: cell for at, cell in enumerate(cells) if isinstance(cell, Value)}
        means, halves = digits(column, numbers)
        bold, underlined = self._marked(index, means)
        widest_mean = max(means.values(), key=len, default="")
        widest_half = max(halves.values(), key=len, default="")
        notes = [(self.notes or {}).get((row.name, column.name), "") for row in self.rows]
        widest_note = max(notes, key=len, default="")
        out: list[str] = []
        for at, cell in enumerate(cells):
            if at not in means:
                out.append(text_of(cell, escape, self.footnotes))
                continue
            mean = number_in_tex(means[at])
            mean = rf"\textbf{{{mean}}}" if at in bold else rf"\underline{{{mean}}}" if at in underlined else mean
            note = notes[at] or (rf"\phantom{{{widest_note}}}" if widest_note else "")
            spread = ""
            if widest_half and at in halves:
                spread = rf"\,{{\scriptsize$\pm$\,{padding(widest_half, halves[at])}{number_in_tex(halves[at])}}}"
            elif widest_half:
                spread = rf"\phantom{{\,{{\scriptsize$\pm$\,{number_in_tex(widest_half)}}}}}"
            before, after = padding(widest_mean, means[at]), ""
            if column.significant:
                before, after = around_point(list(means.values()), means[at])
            out.append(f"{before}{mean}{after}{spread}{note}")
        return out

    def _marked(self, index: int, means: Mapping[int, str]) -> tuple[set[int], set[int]]:
        """Rows to print in bold and underlined; ties as printed share the mark, and a column of ties has none."""
        column = self.columns[index]
        aim = next((row.cells[index] for row in self.rows if row.name == column.target), None)
        if not self.marks_best or column.show == "n" or (column.direction == "none" and not isinstance(aim, Value)):
            return set(), set()
        rows = [at for at in means if not self.rows[at].is_reference and self.rows[at].name != column.target]
        number = {at: number_of(means[at]) for at in rows}
        if isinstance(aim, Value):
            target = aim.mean * (100 if column.percent else 1)
            loss = {at: round(abs(number[at] - target), 9) for at in rows}
        else:
            loss = {at: -number[at] if column.direction == "higher" else number[at] for at in rows}
        levels = sorted(set(loss.values()))
        if len(levels) < 2:
            return set(), set()
        best = {at for at in rows if loss[at] == levels[0]}
        second = {at for at in rows if loss[at] == levels[1]} if self.marks_second and len(levels) > 2 else set()
        return best, second

    def widths_em(self) -> list[float]:
        """Natural widths of the labels and of each column, in em, estimated from average widths of letters in Times."""
        labels = [ems(str(self.corner)), *(ems(str(row.label)) + bool(row.group) for row in self.rows)]
        widths = [max(labels)]
        for index, column in enumerate(self.columns):
            numbers = {at: cell for at, row in enumerate(self.rows) if isinstance(cell := row.cells[index], Value)}
            means, halves = digits(column, numbers)
            cells = max((0.5 * len(text) for text in means.values()), default=0.0)
            cells += max((0.36 * len(text) + 1.0 for text in halves.values()), default=0.0)
            others = [cell for row in self.rows if not isinstance(cell := row.cells[index], Value | None)]
            texts = [ems(plain(cell) if isinstance(cell, Text) else str(cell)) for cell in others]
            unit = "%" if column.percent else column.unit
            heading = ems(str(column.heading)) + (ems(f" ({unit})") if unit and column.show != "n" else 0)
            heading += 0.75 if column.direction != "none" and not column.target and column.show != "n" else 0
            widths.append(max([cells, heading, *texts]))
        return widths


def row_label(row: str, names: Mapping[str, str] | None = None) -> str:
    """What a row is called in tables and figures: `my_row@top_p-0.9` is `my row, top_p 0.9`, `names` said otherwise."""
    stem, *grid = row.split("@")
    return ", ".join([(names or {}).get(stem, stem.replace("_", " ")), *(item.replace("-", " ", 1) for item in grid)])


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

    `labels` maps a row to what is printed for it (else `row_label`); `groups` a metric to the heading above it. The
    rows that are the target of a metric (a human reference) and `references` are set apart, on top unless `rows` says
    otherwise. `varies` names what may differ between rows that are otherwise refused as not comparable ("data",
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
                label=label(row) or row_label(row),
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

    Paired tests where the units are shared, Holm's correction within each column; numbers of one unit are not tested.
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
            and min(cell.n, base.n) > 1
        }
        for name, p in zip(tested, holm(list(tested.values())), strict=True):
            if p < level:
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
