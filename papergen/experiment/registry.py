"""All kinds of experiments by name: the shipped ones, those of installed packages and the author's own.

All of them are Python files, and all come in by one door, `load_kinds`. A kind imports torch inside `run` only, so
that planning and building a paper stay fast.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.files import digest_bytes
from papergen.core.shipped_files import shipped
from papergen.experiment.hooks import check_hooks
from papergen.experiment.kind import Kind, place_in

ENTRY_POINTS = "papergen.experiments"
"""Group of entry points by which an installed package brings experiment kinds: `coins = "my_package.experiments"`."""


class Kinds(Mapping[str, Kind]):
    """Kinds by name, each loaded when it is asked for: a paper uses few of those that there are."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        """Load a kind, once. KeyError when there is none of the name, PapergenError when its file is at fault."""
        if name not in self._loaded:
            self._loaded[name] = load_kind(self._places[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is such a kind, without loading it."""
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._places)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._places)


def load_kinds(project: Path | None) -> Kinds:
    """Every kind by name: the shipped ones, those of installed packages (`ENTRY_POINTS`) and the project's own.

    All are files, read alike; the project's own are loaded at once, so that a fault in them is told wherever they are
    used or not. The same name twice is an error that names both files.
    """
    own = [] if project is None else [project / "experiments"]
    places = [shipped("experiments"), *_installed(), *own]
    files: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            if path.name.startswith(("_", "test_")):
                continue
            if path.stem in files:
                raise PapergenError(
                    f"{path}: there is an experiment kind of this name already, in {files[path.stem]}.",
                    hint="Rename one of the two files.",
                )
            files[path.stem] = path
    kinds = Kinds(files)
    for name, path in files.items():
        if path.parent in own:
            kinds[name]  # for the faults in it
    return kinds


def _installed() -> list[Path]:
    """The files and folders that installed packages register: an entry point names a module or a package of them."""
    found = []
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        whose = f"the entry point {point.name} of {point.dist.name if point.dist else 'a package'}"
        try:
            spec = importlib.util.find_spec(point.value)
        except (ImportError, ValueError) as error:
            raise PapergenError(f"{whose}: {point.value} cannot be found ({error}).") from error
        if spec is None or spec.origin is None:
            raise PapergenError(f"{whose}: there is no module {point.value}.")
        path = Path(spec.origin)
        found.append(path.parent if path.name == "__init__.py" else path)
    return found


def load_kind(path: Path) -> Kind:
    """Load the file of a kind; PapergenError where it cannot be loaded or its hooks are at fault."""
    module = load_module(path)
    check_hooks(module, path)
    return Kind(path.stem, path, module)


def kind_named(name: str, kinds: Mapping[str, Kind], where: str) -> Kind:
    """The kind of that name, or an error at `where` with the nearest one."""
    if name not in kinds:
        raise PapergenError(f"{where}: there is no experiment kind {name!r}. {did_you_mean(name, kinds)}")
    return kinds[name]


def load_module(path: Path) -> ModuleType:
    """The author's or a shipped Python file as a module; PapergenError at the line where it fails."""
    if not path.is_file():
        raise PapergenError(f"{path}: there is no such file.")
    # The name must be stable for pydantic and pickling, and must not collide with an installed module.
    name = f"papergen_kind_{path.stem}_{digest_bytes(str(path.resolve()).encode())[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # As in the worker: a module beside the experiment, or in the project's folder, can be imported by its name.
    before = list(sys.path)
    sys.path[:0] = [str(path.parent), str(path.parent.parent)]
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise PapergenError(f"{path}:{error.lineno}: {error.msg}") from error
    except SystemExit as error:  # else every command of the project would end here, without a word
        raise PapergenError(
            f"{place_in(path, error)}: loading this file called sys.exit({error.code!r}).",
            hint="What only a script does belongs under `if __name__ == '__main__':`.",
        ) from error
    except Exception as error:
        raise PapergenError(
            f"{place_in(path, error)}: loading this file raised {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path[:] = before
    return module
