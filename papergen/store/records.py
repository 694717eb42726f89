"""What travels between the packages: a Trial that may run, the Result that came out, and where and how it ran."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, TypeVar

from papergen.core.errors import PapergenError
from papergen.core.files import digest_json, slug

SCHEMA = 2
"""Version of the JSON below; a reader refuses another one by name."""

T = TypeVar("T")
_JSON_TYPES = (dict, list, str, int, float, bool, type(None))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run to be made or already made: an experiment's row under one seed.

    `parts` holds everything that decides the numbers (kind, params, seed, code, data, upstream, libraries); `digest` is
    the SHA-256 of its canonical JSON, so two trials with one digest are the same trial.
    """

    experiment: str
    row: str
    seed: int
    kind: str
    params: Mapping[str, Any]
    num_ranks: int
    is_seeded: bool
    upstream: Mapping[str, str]
    """Parameter name -> digest of the trial whose artifact it is."""
    parts: Mapping[str, Any]
    digest: str

    @property
    def key(self) -> str:
        """`experiment/row`, the first two thirds of a result key."""
        return f"{self.experiment}/{self.row}"

    @property
    def label(self) -> str:
        """What a person reads: `decoding/nucleus seed 1`, or without the seed where it decides nothing."""
        return f"{self.key} seed {self.seed}" if self.is_seeded else self.key

    @property
    def folder_name(self) -> str:
        """Readable name plus digest: `nucleus-seed1-1f3a9c0b7d22`."""
        return f"{slug(self.row)}-seed{self.seed}-{self.digest[:12]}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, with the schema number."""
        return {"schema": SCHEMA, **{item.name: _plain(getattr(self, item.name)) for item in fields(self)}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """The trial written by `to_json`; PapergenError names `where` when it is damaged or of a newer schema."""
        return _from_json(cls, data, where)


def utc(seconds: float) -> str:
    """Seconds since the epoch as records have it: UTC, ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def digest_of(parts: Mapping[str, Any]) -> str:
    """The digest of a trial with these parts."""
    return digest_json(parts)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where, when and with what a trial ran. Nothing here decides the numbers; all of it helps to doubt them."""

    command: Sequence[str]
    started: str
    """UTC, ISO 8601."""
    ended: str
    duration_s: float
    hostname: str
    platform: str
    python: str
    papergen: str
    packages: Mapping[str, str]
    cpu: str
    num_cores: int
    memory_gib: float
    device: str
    """The device the ranks really used: "cpu", "cuda"."""
    gpus: Sequence[str]
    num_threads: int
    """CPU threads per rank."""
    backend: str
    """Communication backend ("gloo", "nccl") or "none" for one rank."""
    launcher: str
    git_commit: str
    """Commit of the project's repository, or "" outside one."""
    git_is_dirty: bool
    load_average: float
    """One-minute load of the machine when the trial started."""
    driver: str = ""
    """Version of the GPU driver, "" where there is none."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that libraries of numbers read (OMP_*, CUDA_*, ...), secrets blotted out."""
    failed_attempts: Sequence[str] = field(default_factory=list)
    """Causes of the attempts that failed before this one, oldest first."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial's rank 0 reports: the numbers, none of them formatted."""

    metrics: Mapping[str, float | None]
    """Name -> number; None where the trial produced NaN or infinity, which no paper may print."""
    units: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    """Metric name -> one value per unit (prompt, example) in a fixed order, for intervals and paired tests."""
    series: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    """Name -> (step, value) pairs, e.g. a loss curve."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Recorded truths that are not measurements: sizes, digests of data, versions, the device."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished trial: what ran, what came out, where; `artifacts` maps relative file names to their SHA-256."""

    trial: Trial
    outcome: Outcome
    provenance: Provenance
    artifacts: Mapping[str, str]

    @property
    def is_imported(self) -> bool:
        """Whether the numbers were made elsewhere and only read here: the machine and the time are not theirs."""
        return self.trial.kind == "import"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data with the schema number and a hash of the content, which detects damage and hand edits."""
        body = {
            "schema": SCHEMA,
            "trial": self.trial.to_json(),
            "outcome": _plain(asdict(self.outcome)),
            "provenance": _plain(asdict(self.provenance)),
            "artifacts": dict(self.artifacts),
        }
        return {**body, "content_sha256": digest_json(body)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        """The result written by `to_json`; PapergenError when the content hash does not match."""
        _check_schema(data, where)
        body = {name: value for name, value in data.items() if name != "content_sha256"}
        if digest_json(body) != data.get("content_sha256"):
            raise PapergenError(
                f"{where}: the content does not match its hash: the file was damaged or edited by hand.",
                hint="Run `papergen run-exp`: it sets the damaged folder aside and runs the trial again.",
            )
        try:
            return cls(
                trial=Trial.from_json(body["trial"], where),
                outcome=_from_json(Outcome, body["outcome"], where),
                provenance=_from_json(Provenance, body["provenance"], where),
                artifacts=body["artifacts"],
            )
        except KeyError as error:
            raise PapergenError(f"{where}: not a result record (it has no {error}).") from error


State = Literal["finished", "pending", "failed", "stale", "unavailable"]
"""How things stand with a trial; unavailable: it cannot run on the device where it was tried, and why is recorded."""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    assert isinstance(value, _JSON_TYPES), f"{value!r} is not plain JSON data"
    return value


def _check_schema(data: Any, where: str) -> None:
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if not isinstance(schema, int):
        raise PapergenError(f"{where}: not a papergen record (it has no schema number).")
    if schema > SCHEMA:
        raise PapergenError(
            f"{where}: written by a newer papergen (schema {schema}; this one reads {SCHEMA}).",
            hint="pip install --upgrade papergen",
        )
    if schema < SCHEMA:
        raise PapergenError(
            f"{where}: written by an older papergen (schema {schema}; this one reads {SCHEMA}).",
            hint="Run `papergen run-exp`: it sets the folder aside and runs the trial again.",
        )


def _from_json(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    if cls is Trial:
        _check_schema(data, where)
    names = {item.name for item in fields(cls)}  # type: ignore[arg-type]
    try:
        return cls(**{name: value for name, value in data.items() if name in names})
    except TypeError as error:
        raise PapergenError(f"{where}: not a {cls.__name__} record ({error}).") from error
