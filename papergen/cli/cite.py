"""`papergen cite`."""

from __future__ import annotations

import click


@click.group("cite")
def cite() -> None:
    """Keep references.bib: add entries, look for known ones, check it

    \b
    papergen cite add 10.18653/v1/P18-1082
    papergen cite search nucleus sampling
    papergen cite check
    """


@cite.command("add")
@click.argument("works", nargs=-1, metavar="[DOI | ARXIV-ID | ACL-ID | KEY]...")
@click.option(
    "--bibtex",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="Add the BibTeX of a file; - reads it from the terminal",
)
@click.option("--key", default="", metavar="KEY", help="Key of the entry, in place of one such as holtzman2020curious")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="Most time for one answer",
)
@click.option("--dry-run", is_flag=True, help="Print the entries and write nothing")
def add(works: tuple[str, ...], bibtex: object, key: str, timeout_s: float, dry_run: bool) -> None:
    """Add entries to references.bib

    What papergen brings itself needs no network; the rest comes from doi.org, arXiv and the ACL Anthology. A work that
    the file has already is not added again, and no other byte of the file changes. Prints the keys to cite by.

    \b
    papergen cite add 10.18653/v1/P18-1082 1904.09751
    papergen cite add holtzman2020curious
    papergen cite add --bibtex entry.bib
    """
    from pathlib import Path
    from typing import IO, cast

    from papergen.config import find_project
    from papergen.core.errors import PapergenError
    from papergen.core.scratch import scratch_folder
    from papergen.paper.cite.add import add as add_entries

    if not works and bibtex is None:
        raise PapergenError("nothing to add.", hint="Name a DOI, an arXiv or ACL id, or give --bibtex FILE.")
    pasted = "" if bibtex is None else cast("IO[str]", bibtex).read()
    path = find_project(Path.cwd()) / "references.bib"
    with scratch_folder("cite") as folder:
        target = path
        if dry_run:
            target = folder / path.name
            target.write_bytes(path.read_bytes() if path.is_file() else b"")
        for added in add_entries(target, works, pasted, key=key, timeout_s=timeout_s):
            if added.why:
                click.echo(f"{added.key}: not added: {added.why}", err=True)
            elif dry_run:
                click.echo(added.text)
                continue
            click.echo(added.key)


@cite.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per entry")
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Look for words in the verified entries that papergen brings

    They are the works behind the methods, metrics and tools that papergen implements; \\cite{KEY} alone is enough to
    cite one.

    \b
    papergen cite search nucleus sampling
    papergen cite search --json diverse beam
    """
    import json

    from papergen.core.errors import ResultError
    from papergen.report import citations

    found = citations.search(" ".join(words))
    if not found:
        raise ResultError(f"no built-in entry has the words {' '.join(words)}.", hint="Try fewer or other words.")
    for key in found:
        text = citations.entry(key)
        record = {name: citations.field(text, name) for name in ("author", "title", "year", "doi", "eprint")}
        if as_json:
            click.echo(json.dumps({"key": key, **record, "bibtex": text}, ensure_ascii=False))
        else:
            click.echo(f"{key}\n    {record['title']} ({record['year']})\n    {record['author']}")


@cite.command("check", short_help="Check references.bib and the citations")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Check references.bib and the citations: what is undefined, unused, twice there or incomplete

    The part of `papergen check` that is about the bibliography.

    \b
    papergen cite check
    """
    import json

    from papergen.experiment.project import open_project
    from papergen.paper.check.output import as_record, in_words
    from papergen.paper.check.run import examine

    examined = examine(open_project()).only(lambda name: name.startswith("bib-") or name == "citation")
    click.echo(json.dumps(as_record(examined), ensure_ascii=False, indent=2) if as_json else in_words(examined))
    if examined.standing:
        raise SystemExit(1)
