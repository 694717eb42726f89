"""`papergen diff`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("diff", short_help="Show what changed between two versions of the paper, and why")
@click.argument("old", default="HEAD", metavar="[OLD]")
@click.argument("new", default=".", metavar="[NEW]")
@click.option(
    "--pdf",
    "output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the PDF of the differences to this file instead of build/diff.pdf",
)
@click.option("--no-pdf", is_flag=True, help="Compare the numbers only")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
@click.option("--exit-code", "with_code", is_flag=True, help="Exit with 1 when anything changed, as git diff does")
def diff(old: str, new: str, output: Path | None, no_pdf: bool, as_json: bool, with_code: bool) -> int:
    """Show which numbers, sentences, claims, tables and figures changed between two versions, and why

    OLD and NEW are git revisions, folders with a paper.yaml, PDFs that papergen built, or snapshots of builds
    (`build` for the last, or the beginning of a digest). Left out: HEAD and the current folder.

    The exit code is 0 whatever changed (1 with --exit-code), 2 for a version that does not exist, 3 when latexdiff is
    missing and --no-pdf was not given; the table is printed all the same.

    \b
    papergen diff                         since the last commit
    papergen diff v1 --no-pdf             since the tag v1, numbers only
    papergen diff submitted.pdf build     since the submission, as of the last build
    """
    import json
    from contextlib import ExitStack
    from dataclasses import asdict

    from papergen.config import find_project
    from papergen.core.errors import MachineError
    from papergen.core.scratch import scratch_folder
    from papergen.paper.share.differences import compare, describe
    from papergen.paper.share.latexdiff import difference_pdf
    from papergen.paper.share.versions import opened

    project = find_project(Path.cwd())
    with scratch_folder("diff") as scratch, ExitStack() as stack:
        versions = [
            stack.enter_context(opened(name, project, scratch / side)) for name, side in ((old, "old"), (new, "new"))
        ]
        found = compare(versions[0].snapshot, versions[1].snapshot)
        for version in versions:
            if version.problems:
                click.echo(f"note: {version.name} would not build now: {version.problems[0].message}", err=True)
        if as_json:
            click.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        else:
            click.echo(describe(found))
        code = 1 if with_code and not found.is_empty else 0
        if no_pdf:
            return code
        try:
            pdf = difference_pdf(versions[0], versions[1], output or project / "build" / "diff.pdf")
        except MachineError as error:
            click.echo(f"Error: {error}", err=True)
            return error.exit_code
        click.echo(pdf, err=as_json)
    return code
