"""What an experiment gets for the paper without asking: a table of its metrics, its curves, its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from papergen.core.errors import PapergenError
from papergen.core.phrase import Phrase, said
from papergen.experiment.api import Params
from papergen.latex.text import Tex
from papergen.report.appendix import hyperparameter_table
from papergen.report.figures.figure import Figure, Series
from papergen.report.parts import Part, View
from papergen.report.results import NotFinishedError, UnknownKeyError
from papergen.report.tables.table import table_of


def part_of(view: View) -> Part:
    """What the experiment adds to the paper: what its kind's `report` says, the plain tables and curves without one."""
    if not view.kind.has_report:
        return plain_part(view)
    found = view.kind.report(view) or Part()
    if not isinstance(found, Part):
        raise PapergenError(f"{view.kind.path}: report() returned {type(found).__name__}, not a Part.")
    return found


def plain_part(view: View, *, params: Mapping[str, Params] | None = None) -> Part:
    """`results` (rows by metrics), one figure per series that every row has, and `hyperparameters`.

    `params` are the parameters that the last table shows, those of the experiment when None.
    """
    names = [metric.name for metric in view.results.metrics.get(view.experiment, ())]
    tables = [table_of(view.results, "results", view.experiment, names)]
    shown = {row: view.params(row) for row in view.rows} if params is None else params
    if any(type(item).model_fields or item.model_extra for item in shown.values()):
        tables.append(hyperparameter_table(shown))
    figures = [figure for name in _common_series(view) if (figure := _curves(view, name)) is not None]
    rows_listed = ", ".join(said(view.label(row), view.language) for row in view.rows)
    return Part(tables=tuple(tables), figures=tuple(figures), texts={"rows": Tex(view.escape(rows_listed))})


def _common_series(view: View) -> list[str]:
    logged = [set(result.outcome.series) for row in view.rows for result in view.finished(row)]
    return sorted(set.intersection(*logged)) if logged else []


def _curves(view: View, name: str) -> Figure | None:
    curves = []
    for row in view.rows:
        try:
            band = view.series(row, name)
        except NotFinishedError:
            raise
        except UnknownKeyError:
            continue
        if band.steps:
            curves.append(Series(label=view.label(row), x=band.steps, y=band.mean, low=band.low, high=band.high))
    if not curves:
        return None
    metric = view.results.metric(view.experiment, name)
    return Figure(
        name=name,
        kind="band",
        series=tuple(curves),
        x_label=Phrase("Steps", "步数"),
        y_label=metric.axis,
    )
