"""A package imports only packages of lower layers, and what a paper needs never imports the heavy libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import papergen
from papergen.core.layers import FORBIDDEN, HEAVY_LIBRARIES, HEAVY_PACKAGES, LAYERS

PACKAGE = Path(papergen.__file__).parent

STOREY = {name: storey for storey, names in enumerate(LAYERS) for name in names}

DOORS = {"__init__", "__main__", "testing"}
"""Modules of the root: what others import from papergen, above every layer."""


def layer_of(path: Path) -> str:
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


def test_the_package_holds_the_layers_and_the_doors() -> None:
    assert {layer_of(path) for path in SOURCES} == {name for names in LAYERS for name in names} | DOORS - {"__init__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_layer_imports_only_lower_ones(path: Path) -> None:
    layer = layer_of(path)
    for line, name in imported(path):
        words = name.split(".")
        if words[0] != "papergen" or len(words) < 2 or layer in DOORS or words[1] not in STOREY:
            continue
        other = words[1]
        allowed = other == layer or (STOREY[other] < STOREY[layer] and (layer, other) not in FORBIDDEN)
        assert allowed, f"{path}:{line}: {layer} may not import {other}"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Lazy and type-checking imports included: what imports itself through others cannot be read from one end."""
    known = {module_of(path) for path in SOURCES}
    graph = {}
    for path in SOURCES:
        names = {name if name in known else name.rpartition(".")[0] for _, name in imported(path)}
        graph[module_of(path)] = names & known - {module_of(path)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_science_imports_torch(path: Path) -> None:
    if not path.relative_to(PACKAGE).as_posix().startswith(HEAVY_PACKAGES):
        assert not [name for _, name in imported(path) if name.split(".")[0] in HEAVY_LIBRARIES]


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    code = """from papergen.cli.main import cli
try:
    cli.main(["--help"], prog_name="papergen")
except SystemExit:
    pass"""
    heavy = {"torch", "transformers", "pydantic", "matplotlib", "numpy", "yaml", "jinja2", "rich", "scipy", "pylatex"}
    assert not modules_after(code) & heavy


def test_planning_imports_no_torch() -> None:
    code = "from papergen.experiment.registry import load_kinds\nload_kinds(None)"
    assert not modules_after(code) & {"torch", "transformers", "matplotlib", "scipy"}


LIGHT = [
    "papergen.paper.build",
    "papergen.execution.session",
    "papergen.ml.decoding.strategy",
    "papergen.ml.training.settings",
    "papergen.ml.ops.catalogue",
    "papergen.ml.ops.settings",
    "papergen.ml.ops.describing",
    "papergen.ml.tasks.settings",
    "papergen.ml.tasks.embedded",
]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_no_torch(module: str) -> None:
    assert not modules_after(f"import {module}") & {"torch", "transformers"}
