"""A kind of experiment: its file loaded, and what that file says of a trial."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from papergen.experiment.api import Context, Metric, Params
from papergen.experiment.fingerprint import Code, code_behind


@dataclass(frozen=True)
class Kind:
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
        """The kind's `report` function (results -> tables, figures, texts), or one that adds nothing."""
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
