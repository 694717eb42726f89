"""`papergen watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from papergen.paper.watch.session import State

REST_S = 0.5
"""So long nothing was saved: nobody waits for a build, and what makes the next one faster can be done."""


@click.command("watch")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Serve the preview on this port of 127.0.0.1 (default 8765, or a free one when that is taken)",
)
@click.option("--no-preview", is_flag=True, help="Rebuild only; serve nothing")
@click.option("--draft", is_flag=True, help="Build although results are missing; what is missing is printed marked")
def watch(port: int | None, no_preview: bool, draft: bool) -> int:
    """Rebuild the PDF whenever a file is saved or a result arrives

    A live preview in the browser shows the pages as they are now, errors at their file and line, trials that are not
    finished and every claim. A build with errors publishes nothing. Ctrl-C ends it.

    \b
    papergen watch
    papergen watch --port 9000 --draft
    """
    import contextlib

    from papergen.config import find_project
    from papergen.paper.watch.changes import watcher
    from papergen.paper.watch.server import Preview
    from papergen.paper.watch.session import Session

    root = find_project(Path.cwd())
    changes = watcher(root)
    try:
        with contextlib.ExitStack() as stack:
            session = Session(root, is_draft=draft)
            if not no_preview:
                preview = stack.enter_context(Preview(session, root.name, port))
                session.tell = preview.tell
                click.echo(f"preview: {preview.url}")
            _say(session.rebuild(), root)
            while True:
                changed = changes.wait(REST_S)
                if not changed:
                    session.rest()
                    changed = changes.wait(None)
                if changed:
                    _say(session.rebuild(changed), root)
    except KeyboardInterrupt:
        click.echo("Stopped watching.", err=True)
        return 130
    finally:
        changes.close()


def _say(state: State, root: Path) -> None:
    if state.status == "built":
        waiting = f"; {len(state.stale)} trials are not finished" if state.stale else ""
        click.echo(f"built in {state.seconds:.2f} s: {state.pages} pages{waiting}", err=True)
        return
    click.echo(f"{len(state.errors)} errors; build/{root.name}.pdf is not there until they are mended:", err=True)
    for error in state.errors[:5]:
        where = f"{error['where']}: " if error["where"] else ""
        click.echo(f"  {where}{error['message']}", err=True)
