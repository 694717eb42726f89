"""`papergen config`."""

from __future__ import annotations

import click


@click.command("config")
@click.argument("name", required=False, metavar="[EXPERIMENT]")
@click.option("--row", metavar="ROW", help="Show only this row, or all that a grid made of it")
@click.option("--preset", "presets", multiple=True, metavar="NAME", help="With a preset of the files; repeatable")
@click.option(
    "-o",
    "--override",
    "overrides",
    multiple=True,
    metavar="EXPERIMENT.KEY=VALUE",
    help="With a value changed; repeatable",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of experiment files (of one kind: --schema KIND)")
def config(
    name: str | None, row: str | None, presets: tuple[str, ...], overrides: tuple[str, ...], as_json: bool, schema: bool
) -> None:
    """Show the resolved configuration and where each value came from

    Values come from the kind's defaults, the file's shared lines, presets, the row, its grid, -o and the environment;
    secrets are shown by name only.

    \b
    papergen config decoding                      all rows
    papergen config decoding --row nucleus --json
    papergen config training -o training.num_train_epochs=1
    papergen config --schema > experiments/schema.json
    papergen config --schema decoding
    """
    import json
    from pathlib import Path

    from papergen.config import find_project, read_experiments
    from papergen.core.errors import PapergenError, did_you_mean
    from papergen.experiment.registry import load_kinds
    from papergen.experiment.resolved import as_json as json_of
    from papergen.experiment.resolved import as_text, resolved_rows, rows_named
    from papergen.experiment.schema import schema_of

    if schema:
        try:
            root = find_project(Path.cwd().resolve())
        except PapergenError:
            root = None  # the shipped kinds have a schema anywhere
        kinds = load_kinds(root)
        if name is not None and name not in kinds:
            raise PapergenError(f"{name}: there is no experiment kind of this name. {did_you_mean(name, kinds)}")
        chosen = kinds if name is None else {name: kinds[name]}
        click.echo(json.dumps(schema_of(chosen), indent=2, ensure_ascii=False))
        return
    root = find_project(Path.cwd().resolve())
    configs = read_experiments(root, overrides=overrides, presets=presets)
    if name is not None and name not in configs:
        raise PapergenError(f"{name}: there is no experiment of this name. {did_you_mean(name, configs)}")
    kinds = load_kinds(root)
    shown = []
    for experiment in configs if name is None else [name]:
        rows = resolved_rows(configs[experiment], kinds, root)
        if row is not None:
            rows = rows_named(rows, row, experiment)
        shown.append((experiment, configs[experiment].kind, rows))
    if as_json:
        data = [json_of(*item) for item in shown]
        click.echo(json.dumps(data if name is None else data[0], indent=2, ensure_ascii=False))
        return
    click.echo("\n\n".join(as_text(*item) for item in shown))
