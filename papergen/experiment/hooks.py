"""Hooks: what the Python file of a kind may define, each with its signature and what it says.

A file must define `Params`, `METRICS` (or `metrics`) and `run`; everything else is optional. Helpers of the file's own
have other names. A name that is nearly a hook's is refused, since papergen would never call it; so is a hook that does
not take the arguments that papergen gives.
"""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Protocol

from papergen.core.errors import PapergenError, gathered, misspelt
from papergen.experiment.api import Context, Metric
from papergen.experiment.api import Params as BaseParams
from papergen.experiment.fingerprint import Code


class Hooks(Protocol):
    """Every hook. In the file they are module-level functions, so there is no `self`; `params` is its own `Params`."""

    Params: type[BaseParams]
    """The parameters: a subclass of `papergen.Params`."""

    METRICS: Sequence[Metric]
    """The numbers that every trial reports."""

    ROW_LABELS: Mapping[str, str]
    """Row -> what tables and figures call it, where its name with spaces for underscores is not enough."""

    PRELOAD: Sequence[str]
    """Modules that a fork server imports before it forks; without it, the libraries that the code imports."""

    REVEALS_SECRETS: bool
    """Whether `run` gets `${secret:NAME}` as it is written, and reveals it itself at the last moment."""

    def run(self, params: Any, ctx: Context) -> Mapping[str, float]:
        """Run one rank of one trial; rank 0 returns the metrics."""

    def metrics(self, params: Any) -> Sequence[Metric]:
        """The numbers that a trial reports, where they depend on the parameters: in place of `METRICS`."""

    def is_seeded(self, params: Any) -> bool:
        """Whether the seed changes the numbers (default: yes); a row that ignores it is run once, for one seed."""

    def reads_name(self, params: Any) -> bool:
        """Whether the row's name decides the numbers (default: no, and rows of equal parameters are one trial)."""

    def num_ranks(self, params: Any) -> int:
        """How many processes a trial needs (default: 1)."""

    def takes_all_gpus(self, params: Any) -> bool:
        """Whether the one process of a trial works on every GPU of the machine, as DataParallel does (default: no)."""

    def unavailable(self, params: Any, device: str, num_gpus: int) -> str | None:
        """Why a row cannot run on such a machine, as a sentence for the paper's table; None where it can (default)."""

    def data(self, params: Any, project: Path) -> Mapping[str, str]:
        """Name -> digest of data that a trial reads and that no `Input` parameter names (default: none)."""

    def models(self, params: Any, upstream: Mapping[str, Path], project: Path) -> Sequence[tuple[str, str, str]]:
        """Models (loader, path or Hub id, dtype) that a fork server holds between trials (default: none)."""

    def code(self, params: Any, project: Path) -> Code:
        """The code that decides the numbers (default: what `run` reaches)."""

    def report(self, view: Any) -> Any:
        """A `papergen.report.parts.Part` for the paper (default: a table of metrics and parameters, and curves)."""


FUNCTIONS = frozenset(name for name, value in vars(Hooks).items() if isinstance(value, FunctionType) and name[0] != "_")
CONSTANTS = frozenset(inspect.get_annotations(Hooks))


def check_hooks(module: ModuleType, path: Path) -> None:
    """PapergenError, at file and line, for what the file of a kind misspells, lacks or gives other arguments."""
    if faults := [*_misspelt(module, path), *_of_other_arguments(module)]:
        raise gathered(faults, f"faults in {path.name}")
    needed = ("Params", "run") if hasattr(module, "metrics") else ("Params", "METRICS", "run")
    if missing := [name for name in needed if not hasattr(module, name)]:
        raise PapergenError(
            f"{path}: an experiment file needs {', '.join(missing)}.",
            hint="class Params(papergen.Params), METRICS = (Metric(...),), def run(params, ctx) -> dict.",
        )
    metrics = getattr(module, "METRICS", ())
    if not isinstance(metrics, Sequence) or not all(isinstance(metric, Metric) for metric in metrics):
        raise PapergenError(f"{path}: METRICS = {metrics!r:.60} is to be a tuple of Metric(name=..., label=...).")
    if twice := [name for name, number in Counter(metric.name for metric in metrics).items() if number > 1]:
        raise PapergenError(f"{path}: METRICS declares {', '.join(twice)} twice.")


def _misspelt(module: ModuleType, path: Path) -> Iterator[PapergenError]:
    """Public names that the file itself defines and that are nearly those of hooks which it does not define."""
    absent = {name for name in FUNCTIONS | CONSTANTS if not hasattr(module, name)}
    near = {name: hook for name in vars(module) if name[0] != "_" and (hook := _nearest(name, absent))}
    if not near:  # nearly always, and parsing every kind takes a third of the time in which they are loaded
        return
    for name, line in _lines_of_definitions(path):
        if name in near:
            yield PapergenError(
                f"{path}:{line}: papergen would never use {name}. Did you mean {near[name]}? "
                f"A helper of your own may be called _{name}."
            )


def _nearest(name: str, absent: Set[str]) -> str:
    """The absent hook of the same sort (a function, a class or constant) that the name is nearly; "" for none."""
    if name in FUNCTIONS | CONSTANTS:
        return ""
    of_its_sort = absent & (FUNCTIONS if name.islower() else CONSTANTS)
    return misspelt(name, of_its_sort)


def _lines_of_definitions(path: Path) -> Iterator[tuple[str, int]]:
    """Each name that the file defines at its top level, not by an import, with its line."""
    for node in ast.parse(path.read_bytes()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node.lineno


def _of_other_arguments(module: ModuleType) -> Iterator[PapergenError]:
    """Hooks that cannot be called as papergen calls them."""
    for name in sorted(FUNCTIONS):
        found = getattr(module, name, None)
        if not isinstance(found, FunctionType):
            continue
        _, *arguments = inspect.signature(getattr(Hooks, name)).parameters
        signature, code = inspect.signature(found), found.__code__
        try:
            signature.bind(*arguments)
        except TypeError:
            yield PapergenError(
                f"{code.co_filename}:{code.co_firstlineno}: papergen calls {name}({', '.join(arguments)}), "
                f"and the file has {name}({', '.join(signature.parameters)})."
            )
