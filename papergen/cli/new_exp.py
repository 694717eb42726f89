"""`papergen new-exp`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("new-exp")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["python", "command", "import"]),
    default="python",
    show_default=True,
    help="Write a Python experiment, one that runs a script, or one that imports results",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="With --kind import: take columns and rows of this table over",
)
def new_exp(name: str, kind: str, source: Path | None) -> None:
    """Scaffold an experiment with a passing test

    NAME is also the name under which the paper refers to its results. Nothing is overwritten.

    \b
    papergen new-exp my_study
    papergen new-exp my_training --kind command
    papergen new-exp old_runs --kind import --source data/old.csv
    """
    from papergen.config import find_project
    from papergen.experiment.scaffold import new_experiment

    root = find_project(Path.cwd().resolve())
    for path in new_experiment(root, name, kind, source=source):  # type: ignore[arg-type]
        click.echo(path.relative_to(root))
    click.echo(f"\nNext: edit them, then\n  python -m pytest tests/test_{name}.py\n  papergen run-exp {name}", err=True)
