"""`papergen trace`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("trace")
@click.argument("what", metavar="KEY|PDF")
@click.option("--page", type=click.IntRange(min=1), metavar="N", help="Of a PDF, this page only")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
def trace(what: str, page: int | None, as_json: bool) -> None:
    """Show the runs behind a number, or every number of a PDF

    KEY is experiment/row/metric, as in the paper. PDF is a file that build-pdf made in this project; its numbers are
    listed by page with their places and the digests of their runs.

    \b
    papergen trace decoding/nucleus/rep_4
    papergen trace build/my-paper.pdf --page 4
    """
    import json

    if what.endswith(".pdf"):
        click.echo(_pdf(Path(what), page, as_json))
        return
    if page is not None:
        raise click.UsageError("--page is for a PDF: papergen trace build/my-paper.pdf --page 4")

    from papergen.experiment.project import open_project
    from papergen.paper.assemble import read_results
    from papergen.paper.trace import describe, traced

    project = open_project()
    found = traced(project, read_results(project), what)
    click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else describe(found))


def _pdf(pdf: Path, page: int | None, as_json: bool) -> str:
    import json
    from dataclasses import asdict

    from papergen.config import find_project
    from papergen.core.errors import PapergenError, counted
    from papergen.paper.share.pdf_pages import describe, numbers_in

    found = numbers_in(pdf, find_project(Path.cwd()))
    if page is not None and page > found.num_pages:
        raise PapergenError(f"{pdf}: has {counted(found.num_pages, 'page')}, no page {page}.")
    if page is not None:
        found = found.only(page)
    if as_json:
        record = {"numbers": [asdict(number) for number in found.numbers], "pieces": found.pieces}
        return json.dumps(record, ensure_ascii=False, indent=2)
    return describe(found)
