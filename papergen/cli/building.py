"""What `papergen build-pdf` does when something may have changed: build, and say what came out."""

from __future__ import annotations

import click

from papergen.core.errors import counted
from papergen.experiment.project import open_project
from papergen.paper.build import build


def build_and_say(*, is_draft: bool, timeout_s: float) -> tuple[str, str, list[str]]:
    """Build the paper of the current folder and print where it is.

    What the next build says and prints when nothing has changed, and the files it would then leave as they are.
    """

    def say(text: str) -> None:
        click.echo(f"  {text}", err=True)

    built = build(open_project(), is_draft=is_draft, timeout_s=timeout_s, progress=say)
    compiled = built.compiled
    boxes = [f"warning: {problem}" for problem in compiled.warnings if problem.severity == "box"]
    marked = " DRAFT: what is missing is marked in red." if is_draft else ""
    counts = (
        f"{counted(compiled.pages, 'page')}, {counted(built.num_values, 'result')} and "
        f"{counted(built.num_citations, 'citation')} in the text"
    )
    passes = (
        counted(compiled.num_passes, "LaTeX pass", "LaTeX passes") if compiled.num_passes else "nothing had changed"
    )
    nothing = f"{counts} (nothing had changed).{marked}"
    click.echo("\n".join([*boxes, f"{counts} ({passes}).{marked}"]), err=True)
    click.echo(compiled.pdf)
    tree = [str(path) for path in sorted(built.tree.rglob("*")) if path.is_file()]
    return "\n".join([*boxes, nothing]), str(compiled.pdf), [str(compiled.pdf), *compiled.system_files, *tree]
