"""A room imports only rooms below it, and the light rooms never import the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import papergen

PACKAGE = Path(papergen.__file__).parent

ROOMS = [
    ["errors", "unchanged", "widths"],
    ["files", "hub_ids", "migrations", "resources", "secret_values"],
    ["remembered", "scratch", "yaml_strict"],
    ["records", "known_digests"],
    ["runs", "config", "code_digest"],
    ["index", "experiment"],
    ["archive", "code_guard", "listing", "trackers", "upkeep"],
    ["plan", "resolved", "schema"],
    ["pretrained", "distributed"],
    ["decoding", "training", "ops", "external"],
    ["tasks"],
    ["worker"],
    ["launch", "progress", "scheduling", "availability"],
    ["runner"],
    ["multihost"],
    ["report"],
    ["project"],
    ["latex"],
    ["claimed", "generated"],
    ["assembly"],
    ["snapshots"],
    ["paper", "doctor"],
    ["check"],
    ["cite"],
    ["tracing", "testing", "new_experiment"],
    ["sharing", "watching"],
    ["rerunning"],
    ["commands"],
    ["cli"],
    ["__main__"],
]
"""From the ground up; rooms of one storey do not import each other."""

STOREY = {room: storey for storey, rooms in enumerate(ROOMS) for room in rooms}

HEAVY = {"torch", "transformers", "tokenizers", "safetensors"}
HEAVY_ROOMS = {"pretrained", "distributed", "decoding", "training", "ops", "tasks", "worker"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def test_every_room_has_its_storey() -> None:
    assert {room_of(path) for path in SOURCES} <= set(STOREY)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_downwards(path: Path) -> None:
    room = room_of(path)
    for line, name in imported(path):
        words = name.split(".")
        if words[0] != "papergen" or len(words) < 2 or words[1] == "__version__":
            continue
        other = words[1]
        assert other == room or STOREY[other] < STOREY[room], f"{path}:{line}: {room} may not import {other}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_science_imports_torch(path: Path) -> None:
    if room_of(path) not in HEAVY_ROOMS:
        assert not [name for _, name in imported(path) if name.split(".")[0] in HEAVY]


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    code = """from papergen.cli import cli
try:
    cli.main(["--help"], prog_name="papergen")
except SystemExit:
    pass"""
    heavy = {"torch", "transformers", "pydantic", "matplotlib", "numpy", "yaml", "jinja2", "rich", "scipy", "pylatex"}
    assert not modules_after(code) & heavy


def test_planning_imports_no_torch() -> None:
    code = "from papergen.experiment import load_recipes\nload_recipes(None)"
    assert not modules_after(code) & {"torch", "transformers", "matplotlib", "scipy"}


LIGHT = [
    "papergen.paper",
    "papergen.runner",
    "papergen.decoding.settings",
    "papergen.training.settings",
    "papergen.ops.catalogue",
    "papergen.ops.settings",
    "papergen.ops.describing",
    "papergen.tasks.settings",
    "papergen.tasks.embedded",
]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_no_torch(module: str) -> None:
    assert not modules_after(f"import {module}") & {"torch", "transformers"}
