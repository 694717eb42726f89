"""What an experiment adds to the paper: its `report(view)` turns results into tables, figures and passages of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pylatex.base_classes import LatexObject

from papergen.core.errors import PapergenError
from papergen.core.files import slug
from papergen.core.phrase import said
from papergen.experiment.api import Params
from papergen.experiment.kind import Kind
from papergen.latex.text import Escape, Tex
from papergen.report.appendix import hyperparameter_table
from papergen.report.figures.figure import Figure
from papergen.report.results import Band, Results
from papergen.report.tables.table import Table
from papergen.report.values import Text, Value, value_of
from papergen.report.words import either
from papergen.store.records import Result
from papergen.store.runs import Store

Piece: TypeAlias = Table | Figure | Tex | LatexObject


@dataclass(frozen=True, kw_only=True)
class Part:
    """The pieces by their short names; in the paper they are `tables/<experiment>-<name>.tex` and so on.

    A name may be any text, such as that of a logged curve: what stands in the file's name is its slug. Instead of our
    tables, figures and TeX a kind may give PyLaTeX's objects (`pylatex.Tabular`, `Figure`, `Command` ...), by name:
    `tables={"sizes": Tabular("lr")}`. They are printed as PyLaTeX prints them, their packages loaded.
    """

    tables: Sequence[Table] | Mapping[str, Table | LatexObject] = ()
    figures: Sequence[Figure] | Mapping[str, Figure | LatexObject] = ()
    """A Figure is drawn (`figures/<experiment>-<name>.pdf`), a PyLaTeX object is TeX to input (`.tex`)."""
    texts: Mapping[str, Tex | LatexObject] = field(default_factory=dict)

    def files(self, experiment: str) -> list[tuple[str, str, Piece]]:
        """File in the paper, name, piece: of all pieces; two files are the same where the slugs of two names are."""
        found: list[tuple[str, str, Piece]] = []
        for start, pieces in zip(file_names(experiment), (self.tables, self.figures, self.texts), strict=True):
            named: Iterable[tuple[str, Piece]]
            named = pieces.items() if isinstance(pieces, Mapping) else [(piece.name, piece) for piece in pieces]
            for name, piece in named:
                ending = ".pdf" if isinstance(piece, Figure) else ".tex"
                found.append((f"{start}{slug(name)}{ending}", name, piece))
        return found


@dataclass(frozen=True, kw_only=True)
class View:
    """One experiment's results as its `report` function sees them. Every access to unfinished results is an error."""

    experiment: str
    results: Results
    store: Store
    kind: Kind
    escape: Escape
    """Plain text -> LaTeX for the engine in use."""
    language: str

    @property
    def rows(self) -> list[str]:
        """Names of the rows, in the order of the file; without those that cannot run on the device that was tried."""
        return [row for row in self.results.rows(self.experiment) if row not in self.unavailable]

    @property
    def unavailable(self) -> Mapping[str, str]:
        """Row -> why it cannot run on that device. A table that shows it prints n/a, and the reason below."""
        return self.results.unavailable(self.experiment)

    def key(self, row: str, metric: str) -> str:
        """The result key of a row's metric."""
        return f"{self.experiment}/{row}/{metric}"

    def value(self, row: str, metric: str) -> Value:
        """A row's metric as a number."""
        found = value_of(self.results, self.key(row, metric))
        if isinstance(found, Text):
            raise PapergenError(f"{found.key}: is a text ({found.text!r}), not a number.")
        return found

    def label(self, row: str) -> str:
        """What the row is called in tables and figures."""
        return self.results.row_label(self.experiment, row)

    def finished(self, row: str) -> list[Result]:
        """The results of all seeds of a row."""
        return self.results.finished(self.experiment, row)

    def params(self, row: str) -> Params:
        """The typed parameters of a row, also of one that cannot run on the device that was tried."""
        planned = (t for t in self.results.trials if (t.experiment, t.row) == (self.experiment, row))
        trial = next(planned) if row in self.unavailable else self.finished(row)[0].trial
        return self.kind.params_of(trial.params)

    def said(self, text: str) -> str:
        """A `Phrase` in the paper's language; any other text as it is."""
        return said(text, self.language)

    def each(self, name: str, show: Callable[[Any], str] = str) -> str:
        """A parameter or property of the rows' parameters in words: `32`, or `32 or 64` where rows differ."""
        return either([show(getattr(self.params(row), name)) for row in self.rows], self.language)

    def hyperparameters(self) -> Table:
        """Every parameter that is switched on, of all rows and row by row."""
        labels = {row: self.label(row) for row in self.rows}
        return hyperparameter_table({row: self.params(row) for row in self.rows}, labels=labels)

    def series(self, row: str, name: str) -> Band:
        """A logged series of a row over its seeds."""
        return self.results.series(self.experiment, row, name)

    def samples(self, row: str) -> list[dict[str, Any]]:
        """The samples that the row's first seed stored."""
        return list(self.store.run(self.finished(row)[0].trial).samples())


def file_names(experiment: str) -> tuple[str, str, str]:
    """How the names of an experiment's generated tables, figures and texts begin."""
    stem = slug(experiment)
    return f"tables/{stem}-", f"figures/{stem}-", f"text/{stem}-"
