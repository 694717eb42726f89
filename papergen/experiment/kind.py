"""A kind of experiment: its file loaded, and what that file says of a trial."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from papergen.core.errors import PapergenError
from papergen.experiment.api import Context, Input, Metric, Params
from papergen.experiment.fingerprint import Code, code_behind
from papergen.experiment.inputs import content_digests


@dataclass(frozen=True)
class Kind:
    """A kind's file, loaded: every hook (`papergen.experiment.hooks`) asked here, or what holds without it."""

    name: str
    path: Path
    module: ModuleType

    @property
    def params(self) -> type[Params]:
        """The class of its parameters."""
        found = self.module.Params
        assert isinstance(found, type)
        return found

    def params_of(self, data: Mapping[str, Any]) -> Params:
        """The parameters of a trial as they are recorded, typed."""
        # JSON mode: the strict models take a list for a tuple only when they read JSON.
        return self.params.model_validate_json(json.dumps(dict(data)))

    def run(self, params: Params, context: Context) -> Mapping[str, float]:
        """Run one rank of one trial; rank 0 returns the metrics."""
        outcome: Mapping[str, float] = self.module.run(params, context)
        return outcome

    def metrics(self, params: Mapping[str, Any]) -> tuple[Metric, ...]:
        """What a trial with these recorded parameters reports."""
        if not self._has("metrics"):
            return tuple(self.module.METRICS)
        return tuple(self._ask("metrics", (), self.params_of(params)))

    @property
    def row_labels(self) -> Mapping[str, str]:
        """Row -> what tables and figures call it, of the rows that have a label of their own."""
        return dict(getattr(self.module, "ROW_LABELS", {}))

    @property
    def reveals_secrets(self) -> bool:
        """Whether its `run` takes references to secrets and reveals them itself, at the last moment."""
        return bool(getattr(self.module, "REVEALS_SECRETS", False))

    @property
    def preload(self) -> tuple[str, ...] | None:
        """Modules that a fork server imports before it forks; None: by the libraries that the code imports."""
        return tuple(self.module.PRELOAD) if self._has("PRELOAD") else None

    def takes_all_gpus(self, params: Mapping[str, Any]) -> bool:
        """Whether the trial's one process works on every GPU of the machine."""
        if not self._has("takes_all_gpus"):
            return False
        return bool(self._answer("takes_all_gpus", False, bool, "True or False", self.params_of(params)))

    def models(
        self, params: Mapping[str, Any], upstream: Mapping[str, Path], project: Path
    ) -> tuple[tuple[str, str, str], ...]:
        """The models (loader, path or Hub id, dtype) that `run` takes by `papergen.experiment.shared_models.take`."""
        if not self._has("models"):
            return ()
        named = self._ask("models", (), self.params_of(params), upstream, project)
        return tuple((str(loader), str(path), str(dtype)) for loader, path, dtype in named)

    def is_seeded(self, params: Params) -> bool:
        """Whether the seed changes the numbers; a row that ignores it is run once, and not counted as many."""
        return bool(self._answer("is_seeded", True, bool, "True or False", params))

    def reads_name(self, params: Params) -> bool:
        """Whether the row's name decides the numbers; two rows of equal parameters are one trial where it does not."""
        return bool(self._answer("reads_name", False, bool, "True or False", params))

    def num_ranks(self, params: Params) -> int:
        """How many processes the trial needs."""
        found = self._answer("num_ranks", 1, int, "a whole number from 1 on", params)
        if found < 1:  # no process would ever report the trial's end
            raise self._wrong("num_ranks", found, "a whole number from 1 on")
        return int(found)

    def unavailable(self, params: Params, device: str, num_gpus: int) -> str | None:
        """Why a row cannot run on such a machine, as a sentence for the paper's table; None when it can."""
        found: str | None = self._ask("unavailable", None, params, device, num_gpus)
        return found

    def data(self, params: Params, project: Path) -> Mapping[str, str]:
        """Name -> digest of all data that the trial reads: what its `Input` parameters name, and what `data` adds."""
        return {
            **content_digests(params, project),
            **self._answer("data", {}, Mapping, "a mapping of names to digests", params, project),
        }

    @property
    def chooses_code(self) -> bool:
        """Whether which code counts depends on the parameters: the file has a `code(params, project)`."""
        return self._has("code")

    def code(self, project: Path) -> Code:
        """The code that its `run` reaches."""
        return code_behind(self.path, project)

    def code_of(self, params: Params, project: Path) -> Code:
        """The code that decides the numbers of a trial with these parameters, where that `chooses_code`."""
        found = self._ask("code", None, params, project)
        if not isinstance(found, Code):
            raise PapergenError(f"{self.path}: code() returned no papergen.experiment.fingerprint.Code.")
        return found

    @property
    def has_report(self) -> bool:
        """Whether it says itself what it adds to the paper."""
        return self._has("report")

    def report(self, view: Any) -> Any:
        """What its `report` adds to the paper, where it `has_report`."""
        return self._ask("report", None, view)

    def _has(self, name: str) -> bool:
        return hasattr(self.module, name)

    def _ask(self, name: str, default: Any, *arguments: Any) -> Any:
        """The answer of a hook, `default` without it. What the author's code raises is told at its line."""
        hook = getattr(self.module, name, None)
        if hook is None:
            return default
        try:
            return hook(*arguments)
        except PapergenError:
            raise
        except (Exception, SystemExit) as error:  # sys.exit would end the command without a word
            told = f"{place_in(self.path, error)}: {name}() raised {type(error).__name__}: {error}"
            raise PapergenError(told) from error

    def _answer(self, name: str, default: Any, promised: type, words: str, *arguments: Any) -> Any:
        """The answer of a hook; PapergenError at the hook's line where it is not of the type `promised`."""
        found = self._ask(name, default, *arguments)
        if not isinstance(found, promised) or (promised is int and isinstance(found, bool)):
            raise self._wrong(name, found, words)
        return found

    def _wrong(self, name: str, found: Any, words: str) -> PapergenError:
        line = getattr(getattr(getattr(self.module, name), "__code__", None), "co_firstlineno", 1)
        return PapergenError(f"{self.path}:{line}: {name}() returned {found!r:.60}: it is to return {words}.")


def place_in(path: Path, error: BaseException) -> str:
    """`file:line` of the innermost line of `path` that the error passed; the file alone where there is none."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def given(params: BaseModel) -> dict[str, Any]:
    """Name -> value of every parameter, free-form ones included."""
    return {name: getattr(params, name) for name in (*type(params).model_fields, *(params.model_extra or {}))}


def decisive(params: Any, recorded: Any) -> Any:
    """Of the recorded (JSON) form of `params` what may decide numbers.

    Left out are fields marked `WORDS_ONLY`, and the paths of inputs: what these hold is in `Kind.data`.
    """
    if isinstance(params, Input):
        return None
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
