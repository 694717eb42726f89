"""Results that exist already, made by other programs: each row and seed is a selection of lines of their files.

Nothing is computed; the origin of every number is recorded, and a changed source makes it stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from papergen import Context, Metric
from papergen.experiment.external.imported import ImportSettings

if TYPE_CHECKING:
    from papergen.experiment.fingerprint import Code
    from papergen.report.parts import Part, View

PRELOAD: Sequence[str] = ()


class Params(ImportSettings):
    """Where the results come from."""


def metrics(params: Params) -> Sequence[Metric]:
    """Those that the author declares."""
    return params.declared()


def is_seeded(params: Params) -> bool:
    """Whether the seed chooses lines."""
    return params.takes_seed


def reads_name(params: Params) -> bool:
    """Whether the row's name chooses lines."""
    return params.takes_row


def code(params: Params, project: Path) -> Code:
    """Only how files are read."""
    return params.code()


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The files."""
    return params.data(project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Read the lines of this row and seed."""
    from papergen.experiment.external.imported import run_import

    return run_import(params, ctx)


def report(view: View) -> Part:
    """A table of the metrics, and curves where there are steps."""
    from papergen.report.plain import plain_part

    return plain_part(view, params={})
