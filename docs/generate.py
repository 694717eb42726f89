"""Write docs/cli.md from the commands' own help and docs/rooms.md from the modules' own docstrings: `make docs`.

So neither can disagree with the code; a test compares.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import click

from papergen.cli import COMMANDS, cli

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "papergen"

ROOMS = {
    "": "Ground floor, and the doors to the house",
    "code_digest": "code_digest/",
    "config": "config/",
    "decoding": "decoding/",
    "training": "training/",
    "external": "external/",
    "ops": "ops/",
    "tasks": "tasks/",
    "worker": "worker/",
    "launch": "launch/",
    "report": "report/",
    "latex": "latex/",
    "sharing": "sharing/",
    "watching": "watching/",
    "check": "check/",
    "cite": "cite/",
    "commands": "commands/",
}

INTRODUCTION = """# Rooms

Made by `make docs` from the modules' docstrings. A room imports only rooms below it (`tests/test_layers.py` holds the
storeys and checks every import); torch and transformers are met only in decoding, training, tasks, ops, the worker and
the two modules that these share (`distributed`, `pretrained`).

What flows: `paper.yaml` and `experiments/*.yaml` -> **plan** (trials, each with a digest) -> **launcher** -> **result**
(one folder per trial, written last) -> **report** (values, tables, figures, citations) -> **LaTeX tree** -> **PDF**.

Beside the package: `experiments/` holds the shipped kinds (parameters, which science to call, which tables and figures
to make), `templates/` one folder per venue, `tests/` mirrors the package, `benchmarks/` measures.
"""


def cli_page() -> str:
    """The text of docs/cli.md."""
    parts = ["# The command line\n\nMade by `make docs` from `papergen --help`.\n"]
    names = ["-h", "--help"]
    with click.Context(cli, info_name="papergen", terminal_width=100, help_option_names=names) as context:
        parts.append(f"## papergen\n\n```\n{cli.get_help(context)}\n```\n")
        for name in COMMANDS:
            command = cli.get_command(context, name)
            assert command is not None
            parts += command_section(command, name, context)
    return "\n".join(parts)


def command_section(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """The command's help under its full name, and that of its subcommands."""
    with click.Context(command, info_name=name, parent=parent, terminal_width=100) as context:
        parts = [f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"]
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                parts += command_section(found, inner, context)
    return parts


def rooms_page() -> str:
    """The text of docs/rooms.md."""
    parts = [INTRODUCTION]
    for room, title in ROOMS.items():
        parts.append(f"## {title}\n")
        if room:
            parts.append(first_sentence(PACKAGE / room / "__init__.py") + "\n")
        modules = sorted(path for path in (PACKAGE / room).glob("*.py") if path.name != "__init__.py")
        parts += [f"- `{path.relative_to(PACKAGE).as_posix()}` {first_sentence(path)}" for path in modules]
        parts.append("")
    return "\n".join(parts)


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r"\s+", " ", text.split("\n\n")[0])


def pages() -> Mapping[str, str]:
    """File name in docs/ -> text."""
    return {"cli.md": cli_page(), "rooms.md": rooms_page()}


if __name__ == "__main__":
    for page, text in pages().items():
        (DOCS / page).write_text(text, encoding="utf-8")
