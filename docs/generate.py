"""Write docs/cli.md from the commands' own help and docs/architecture.md from the modules' own docstrings: `make docs`.

So neither can disagree with the code; a test compares.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import click

from papergen.cli.main import COMMANDS, cli
from papergen.core.layers import FORBIDDEN, LAYERS

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "papergen"

INTRODUCTION = """# Architecture

Made by `make docs` from the layers (`papergen/core/layers.py`) and the modules' docstrings. A package imports only
packages below it, lazy and type-checking imports included, and no modules import each other in a circle
(`tests/test_layers.py` checks every import). torch and transformers are met only in `ml/` and `execution/worker/`.

    {layers}

Besides: {forbidden}.

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


def architecture_page() -> str:
    """The text of docs/architecture.md."""
    layers = " < ".join(names[0] if len(names) == 1 else "{ " + " | ".join(names) + " }" for names in LAYERS)
    forbidden = ", ".join(f"`{importer}` never imports `{imported}`" for importer, imported in sorted(FORBIDDEN))
    parts = [INTRODUCTION.format(layers=layers, forbidden=forbidden), "## papergen/\n", *modules(PACKAGE), ""]
    for name in (name for names in LAYERS for name in names):
        parts += [f"## {name}/\n", first_sentence(PACKAGE / name / "__init__.py") + "\n", *modules(PACKAGE / name)]
        for folder in sorted(path.parent for path in (PACKAGE / name).rglob("*/__init__.py")):
            parts += [
                "",
                f"### {folder.relative_to(PACKAGE).as_posix()}/\n",
                first_sentence(folder / "__init__.py") + "\n",
            ]
            parts += modules(folder)
        parts.append("")
    return "\n".join(parts)


def modules(folder: Path) -> list[str]:
    """A line for each module that lies in the folder itself."""
    paths = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    return [f"- `{path.relative_to(PACKAGE).as_posix()}` {first_sentence(path)}" for path in paths]


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r"\s+", " ", text.split("\n\n")[0])


def pages() -> Mapping[str, str]:
    """File name in docs/ -> text."""
    return {"cli.md": cli_page(), "architecture.md": architecture_page()}


if __name__ == "__main__":
    for page, text in pages().items():
        (DOCS / page).write_text(text, encoding="utf-8")
