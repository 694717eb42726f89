"""`papergen export`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("kind", type=click.Choice(["arxiv", "overleaf", "camera-ready", "source"]))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write this file (.zip or .tar.gz) instead of the one in build/",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object")
def export(kind: str, output: Path | None, as_json: bool) -> None:
    """Write the paper as an archive for others

    \b
    arxiv         numbers instead of \\result, no comments, no unused files, .bbl instead of .bib; compiled in an
                  empty folder and compared page by page with the paper before anything is written
    overleaf      the LaTeX tree with the numbers in it, ready to upload
    camera-ready  the PDF in the template's camera-ready mode and its sources, when it keeps the venue's rules: page
                  limit, fonts, authors printed, nothing of a blind review left
    source        the project with its results, without build/ and what .gitignore names

    A paper with unknown or stale numbers is not exported. The same paper gives the same bytes.

    \b
    papergen export arxiv
    papergen export overleaf --output ~/paper.zip
    """
    import json

    from papergen.core.errors import counted
    from papergen.experiment.project import open_project
    from papergen.paper.share.export import export as write

    def say(text: str) -> None:
        click.echo(f"  {text}", err=True)

    done = write(open_project(), kind, output, progress=say)
    if as_json:
        record = {
            "path": str(done.path),
            "bytes": done.path.stat().st_size,
            "pages": done.pages,
            "files": dict(done.files),
            "left_out": list(done.left_out),
            "notes": list(done.notes),
        }
        click.echo(json.dumps(record, ensure_ascii=False, indent=2))
        return
    total = sum(done.files.values())
    largest = sorted(done.files.items(), key=lambda item: -item[1])[:3]
    say(f"{counted(len(done.files), 'file')}, {_size(total)}; the archive has {_size(done.path.stat().st_size)}")
    say("largest: " + ", ".join(f"{name} {_size(size)}" for name, size in largest))
    if done.left_out:
        say(f"left out: {', '.join(done.left_out)}")
    for note in done.notes:
        say(f"note: {note}")
    click.echo(done.path)


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.1f} kB"
