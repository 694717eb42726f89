"""What an experiment is: a Python file with `Params`, `METRICS` and `run(params, ctx)`, shipped or the author's own.

All of them come in by one door, `load_recipes`, which reads files by path. A recipe imports torch inside `run` only,
so that planning and building a paper stay fast.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.files import digest_bytes
from papergen.core.shipped_files import shipped
from papergen.experiment.fingerprint import Code, code_behind
from papergen.store.records import Trial

ENTRY_POINTS = "papergen.experiments"
"""Group of entry points by which an installed package brings experiment kinds: `coins = "my_package.experiments"`."""


class Params(BaseModel):
    """Base of an experiment's typed parameters: frozen, no unknown names, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    @property
    def idle_params(self) -> frozenset[str]:
        """Names of parameters that do nothing beside the others; a table of settings leaves them out."""
        return frozenset()


WORDS_ONLY: dict[str, Any] = {"decides_numbers": False}
"""`Field(json_schema_extra=WORDS_ONLY)`: the parameter only words what was run, so it is no part of the digest."""


class From(Params):
    """A parameter whose value is what another experiment produced: `model: {from: training}`."""

    source: str = Field(alias="from", description="Name of the experiment that produces the artifact.")
    row: str | None = Field(default=None, description="Row of that experiment; the first one when absent.")
    seed: int | None = Field(default=None, description="Seed of that row; the first one when absent.")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that every trial of the experiment reports, and how it is read."""

    name: str
    label: str
    """Plain text for table headings and axes."""
    direction: Literal["higher", "lower", "none"] = "none"
    """Which way is better; "none" where no row may be called best."""
    unit: str = ""
    """Plain text: "s", "tokens/s", "%"."""
    over: str = "seeds"
    """What the interval runs over: "seeds", or the name of the units that the trial reports a value for ("prompts")."""
    closest_to: str | None = None
    """Row whose value is the target (a human reference); best is then the nearest to it."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What `run` may use beside its parameters. One per rank; only rank 0's log, units, samples and facts are kept."""

    trial: Trial
    folder: Path
    """Where artifacts go; kept with the result, appears whole or not at all."""
    scratch: Path
    """A folder for what a later attempt at this very trial can go on from (checkpoints, samples made so far). It
    survives a failed or killed attempt, is one for all ranks, and is removed when the trial's result is published."""
    project: Path
    device: str
    """"cpu" or "cuda"; a rank uses `cuda:<local_rank>`."""
    rank: int
    local_rank: int
    world_size: int
    num_threads: int
    upstream: Mapping[str, Path]
    """Parameter name -> path of the artifact of that name in the upstream trial's folder."""
    emit: Callable[[str, dict[str, Any]], None]
    """Where the calls below go: kind of event and its data."""
    should_save: Callable[[], bool] = lambda: False
    """Whether the machine is wanted back (a cluster preempts the trial): save to `scratch` soon, then raise anything.
    Ranks are asked at slightly different moments, so they must agree before they act together."""
    attempt: str = ""
    """The name of this attempt where another one may begin before it has ended (a cluster loses sight of a machine)."""
    may_write: Callable[[], bool] = lambda: True
    """Whether this attempt is still the trial's: ask before anything in `scratch` is replaced. One that is not is ended
    within a second by the launcher, if that can."""

    def log(self, step: float, **metrics: float) -> None:
        """Add one point to each named series (a loss curve)."""
        self.emit("log", {"step": step, "metrics": metrics})

    def progress(self, done: int, total: int, **fields: float) -> None:
        """Tell the person waiting how far the trial is; `fields` are shown beside it (loss, tokens_per_s)."""
        self.emit("progress", {"done": done, "total": total, "fields": fields})

    def step(self, done: int, total: int, **fields: float) -> None:
        """`progress` with a promise, on every rank: until `done` is `total`, the next step comes at about this pace.

        A rank that breaks it, waiting without using the processor, is ended as hanging; one that computes at one place
        for ten minutes as spinning (docs/running.md).
        """
        self.emit("step", {"done": done, "total": total, "fields": fields})

    def note(self, text: str) -> None:
        """Tell the person waiting, in one line, what they should know; nothing of it is recorded."""
        self.emit("note", {"text": text})

    def units(self, name: str, values: Sequence[float]) -> None:
        """Record one value per unit (prompt, example) of the metric `name`, in the same order in every trial."""
        self.emit("units", {"name": name, "values": list(values)})

    def sample(self, **record: Any) -> None:
        """Append one record to the trial's samples.jsonl."""
        self.emit("sample", record)

    def fact(self, name: str, value: Any) -> None:
        """Record a truth that is not a measurement (a size, a digest, a version)."""
        self.emit("fact", {"name": name, "value": value})


@dataclass(frozen=True)
class Recipe:
    """A loaded experiment file."""

    name: str
    path: Path
    module: ModuleType

    @property
    def params(self) -> type[Params]:
        """The class of its parameters."""
        found = self.module.Params
        assert isinstance(found, type)
        return found

    def metrics(self, params: Mapping[str, Any]) -> tuple[Metric, ...]:
        """What a trial with these recorded parameters reports: `metrics(params)` of the file, else its `METRICS`."""
        if (found := self._optional("metrics", None)) is None:
            return tuple(self.module.METRICS)
        return tuple(found(self.params_of(params)))

    @property
    def reveals_secrets(self) -> bool:
        """Whether its `run` takes references to secrets and reveals them itself, at the last moment."""
        return bool(self._optional("REVEALS_SECRETS", False))

    @property
    def preload(self) -> tuple[str, ...] | None:
        """Modules that a warm worker imports before it forks; None: by the libraries that the code imports."""
        found = self._optional("PRELOAD", None)
        return None if found is None else tuple(found)

    def takes_all_gpus(self, params: Mapping[str, Any]) -> bool:
        """Whether the trial's one process works on every GPU of the machine."""
        found = self._optional("takes_all_gpus", None)
        return found is not None and bool(found(self.params_of(params)))

    def models(
        self, params: Mapping[str, Any], upstream: Mapping[str, Path], project: Path
    ) -> tuple[tuple[str, str, str], ...]:
        """The models (loader, path or Hub id, dtype) that `run` takes by `papergen.experiment.shared_models.take`."""
        if (found := self._optional("models", None)) is None:
            return ()
        named = found(self.params_of(params), upstream, project)
        return tuple((str(loader), str(path), str(dtype)) for loader, path, dtype in named)

    def params_of(self, data: Mapping[str, Any]) -> Params:
        """The parameters of a trial as they are recorded, typed."""
        # JSON mode: the strict models take a list for a tuple only when they read JSON.
        return self.params.model_validate_json(json.dumps(dict(data)))

    def run(self, params: Params, context: Context) -> Mapping[str, float]:
        """Run one rank of one trial; rank 0 returns the metrics."""
        outcome: Mapping[str, float] = self.module.run(params, context)
        return outcome

    def is_seeded(self, params: Params) -> bool:
        """Whether the seed changes the numbers; a row that ignores it is run once, and not counted as many."""
        return bool(self._optional("is_seeded", lambda _: True)(params))

    def reads_name(self, params: Params) -> bool:
        """Whether the row's name decides the numbers; two rows of equal parameters are one trial where it does not."""
        return bool(self._optional("reads_name", lambda _: False)(params))

    def num_ranks(self, params: Params) -> int:
        """How many processes the trial needs."""
        return int(self._optional("num_ranks", lambda _: 1)(params))

    def unavailable(self, params: Params, device: str, num_gpus: int) -> str | None:
        """Why a row cannot run on such a machine, as a sentence for the paper's table; None when it can."""
        found: str | None = self._optional("unavailable", lambda *_: None)(params, device, num_gpus)
        return found

    def data(self, params: Params, project: Path) -> Mapping[str, str]:
        """Name -> digest of every data set and model file the trial reads."""
        found: Mapping[str, str] = self._optional("data", lambda *_: {})(params, project)
        return found

    @property
    def chooses_code(self) -> bool:
        """Whether which code counts depends on the parameters: the file has a `code(params, project)`."""
        return hasattr(self.module, "code")

    def code(self, project: Path) -> Code:
        """The code that its `run` reaches."""
        return code_behind(self.path, project)

    def code_of(self, params: Params, project: Path) -> Code:
        """The code that decides the numbers of a trial with these parameters, where that `chooses_code`."""
        found = self.module.code(params, project)
        assert isinstance(found, Code), f"{self.path}: code() returns a papergen.experiment.fingerprint.Code"
        return found

    def parts(self) -> Callable[[Any], Any]:
        """The recipe's `report` function (results -> tables, figures, texts), or one that adds nothing."""
        found: Callable[[Any], Any] = self._optional("report", lambda _: None)
        return found

    def _optional(self, name: str, otherwise: Any) -> Any:
        return getattr(self.module, name, otherwise)


def given(params: BaseModel) -> dict[str, Any]:
    """Name -> value of every parameter, free-form ones included."""
    return {name: getattr(params, name) for name in (*type(params).model_fields, *(params.model_extra or {}))}


def decisive(params: Any, recorded: Any) -> Any:
    """Of the recorded (JSON) form of `params` what may decide numbers: without the fields marked `WORDS_ONLY`."""
    if isinstance(params, BaseModel):
        kept = dict(recorded)
        for name, info in type(params).model_fields.items():
            extra, key = info.json_schema_extra, info.alias or name
            if isinstance(extra, dict) and extra.get("decides_numbers") is False:
                kept.pop(key, None)
            elif key in kept:
                kept[key] = decisive(getattr(params, name), kept[key])
        return kept
    if isinstance(params, Mapping):
        return {key: decisive(params[key], value) for key, value in recorded.items()}
    if isinstance(params, list | tuple):
        return [decisive(item, value) for item, value in zip(params, recorded, strict=True)]
    return recorded


class Recipes(Mapping[str, Recipe]):
    """Recipes by name, each loaded when it is asked for: a paper uses few of those that there are."""

    def __init__(self, places: Mapping[str, Path]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, Recipe] = {}

    def __getitem__(self, name: str) -> Recipe:
        """Load a recipe, once. KeyError when there is none of the name, PapergenError when its file is at fault."""
        if name not in self._loaded:
            self._loaded[name] = load_recipe(self._places[name])
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


def load_recipes(project: Path | None) -> Recipes:
    """Every recipe by name: the shipped ones, those of installed packages (`ENTRY_POINTS`) and the project's own.

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
    recipes = Recipes(files)
    for name, path in files.items():
        if path.parent in own:
            recipes[name]  # for the faults in it
    return recipes


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


def load_recipe(path: Path) -> Recipe:
    """Load one experiment file and check that it keeps the protocol."""
    module = load_module(path)
    missing = [item for item in ("Params", "METRICS", "run") if not hasattr(module, item)]
    if missing:
        raise PapergenError(
            f"{path}: an experiment file needs {', '.join(missing)}.",
            hint="class Params(papergen.Params), METRICS = (Metric(...),), def run(params, ctx) -> dict.",
        )
    return Recipe(path.stem, path, module)


def recipe_named(kind: str, recipes: Mapping[str, Recipe], where: str) -> Recipe:
    """The recipe of that kind, or an error at `where` with the nearest name."""
    if kind not in recipes:
        raise PapergenError(f"{where}: there is no experiment kind {kind!r}. {did_you_mean(kind, recipes)}")
    return recipes[kind]


def _place(error: BaseException, path: Path) -> str:
    trace = error.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return str(path) if line is None else f"{path}:{line}"


def load_module(path: Path) -> ModuleType:
    """The author's or a shipped Python file as a module; PapergenError at the line where it fails."""
    if not path.is_file():
        raise PapergenError(f"{path}: there is no such file.")
    # The name must be stable for pydantic and pickling, and must not collide with an installed module.
    name = f"papergen_recipe_{path.stem}_{digest_bytes(str(path.resolve()).encode())[:8]}"
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
    except Exception as error:
        raise PapergenError(
            f"{_place(error, path)}: loading this file raised {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path[:] = before
    return module
