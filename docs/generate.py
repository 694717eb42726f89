"""Write docs/cli.md from the commands' own help, so that the two cannot disagree: `make docs`."""

from __future__ import annotations

from pathlib import Path

import click

from papergen.cli import COMMANDS, cli

PAGE = Path(__file__).with_name("cli.md")


def page() -> str:
    """The text of docs/cli.md."""
    parts = ["# The command line\n\nMade by `make docs` from `papergen --help`.\n"]
    with click.Context(cli, info_name="papergen", max_content_width=100) as context:
        parts.append(f"## papergen\n\n```\n{cli.get_help(context)}\n```\n")
        for name in COMMANDS:
            command = cli.get_command(context, name)
            assert command is not None
            with click.Context(command, info_name=name, parent=context, max_content_width=100) as inner:
                parts.append(f"## papergen {name}\n\n```\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
