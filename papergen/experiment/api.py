"""What the author of a kind of experiment imports: `from papergen import Params, Metric, Context, From, Input`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from papergen.core.phrase import Phrase as Phrase
from papergen.store.records import Trial


class Params(BaseModel):
    """Base of an experiment's typed parameters: frozen, no unknown names, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    @property
    def idle_params(self) -> frozenset[str]:
        """Names of parameters that do nothing beside the others; a table of settings leaves them out."""
        return frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an `Input` whose default is a bare text: pydantic does not convert defaults, so it would not count."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if type(field.default) is str and Input in (field.annotation, *get_args(field.annotation)):
                raise TypeError(f"{name}: write its default as Input({field.default!r})")


WORDS_ONLY: dict[str, Any] = {"decides_numbers": False}
"""`Field(json_schema_extra=WORDS_ONLY)`: the parameter only words what was run, so it is no part of the digest."""


F = TypeVar("F", bound=Callable[..., Any])


def words_only(function: F) -> F:
    """Decorator of a function that only words what was run: it is no part of the digest of the code."""
    return function


class From(Params):
    """A parameter whose value is what another experiment produced: `model: {from: training}`."""

    source: str = Field(alias="from", description="Name of the experiment that produces the artifact.")
    row: str | None = Field(default=None, description="Row of that experiment; the first one when absent.")
    seed: int | None = Field(default=None, description="Seed of that row; the first one when absent.")


class Input(str):
    """A parameter that names a file or a folder which the experiment reads, from the project's folder or absolute.

    `prompts: Input` is all that it takes: the content decides whether a result is up to date, wherever the file lies
    and whatever it is called. A file that is not there is an error at its line. In `run`, read `params.prompts.path`.
    """

    __slots__ = ()

    @property
    def path(self) -> Path:
        """The file or folder; `run` works in the project's folder, so a relative path is right there."""
        return Path(self).expanduser()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A text that is not empty, as an `Input`."""
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(min_length=1))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that every trial of the experiment reports, and how it is read."""

    name: str
    label: str
    """Plain text for table headings and axes; a `Phrase` where papers in Chinese have a word of their own for it."""
    direction: Literal["higher", "lower", "none"] = "none"
    """Which way is better; "none" where no row may be called best."""
    unit: str = ""
    """Plain text: "s", "tokens/s", "%"."""
    over: str = "seeds"
    """What the interval runs over: "seeds", or the name of the units that the trial reports a value for ("prompts")."""
    closest_to: str | None = None
    """Row whose value is the target (a human reference); best is then the nearest to it."""
    closest_where: str | None = None
    """Parameter that is true of the target row, whatever its author calls that row: in place of `closest_to`."""

    @property
    def axis(self) -> str:
        """The label of an axis: with the unit, where there is one."""
        return Phrase("{} ({})", "{} ({})").format(self.label, self.unit) if self.unit else self.label


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

    @property
    def seed(self) -> int:
        """The trial's seed: what is drawn at random must follow from it alone."""
        return self.trial.seed

    def log(self, step: float, **metrics: float) -> None:
        """Add one point to each named series (a loss curve)."""
        self.emit("log", {"step": step, "metrics": metrics})

    def series(self, name: str, points: Sequence[tuple[float, float]]) -> None:
        """Record a whole series, (step, value) each, in place of what `log` added to it."""
        self.emit("series", {"name": name, "points": list(points)})

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
