"""Any program as an experiment: its command line is filled with a row's parameters, its metrics read from a file.

Planning never starts the program; the worker that does imports no torch for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from papergen import Context, Metric
from papergen.experiment.external.command import CommandSettings

if TYPE_CHECKING:
    from papergen.experiment.fingerprint import Code
    from papergen.report.parts import Part, View

PRELOAD: Sequence[str] = ()
REVEALS_SECRETS = True


class Params(CommandSettings):
    """Settings of the command; every further name is a parameter of it."""


def metrics(params: Params) -> Sequence[Metric]:
    """Those that the author declares."""
    return params.declared()


def is_seeded(params: Params) -> bool:
    """A command that is not told the seed is run once."""
    return params.takes_seed


def code(params: Params, project: Path) -> Code:
    """The scripts that the command names and what they import."""
    return params.code(project)


def data(params: Params, project: Path) -> Mapping[str, str]:
    """The declared inputs."""
    return params.data(project)


def run(params: Params, ctx: Context) -> Mapping[str, float]:
    """Run the program and read what it wrote."""
    from papergen.experiment.external.command_run import run_command

    return run_command(params, ctx)


def report(view: View) -> Part:
    """A table of the metrics, curves, and the parameters of the command."""
    from papergen.report.plain import plain_part

    return plain_part(view, params={row: own(view, row) for row in view.rows})


def own(view: View, row: str) -> Any:
    """The parameters of the author's program, without papergen's settings."""
    from papergen.experiment.external.command import Own

    params = view.params(row)
    assert isinstance(params, CommandSettings), "a command's parameters"
    return Own.model_validate(params.own())
