"""Files that an experiment reads, named by a parameter: they count by content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from papergen.core.cache import known_digest
from papergen.core.errors import PapergenError
from papergen.experiment.api import Input


def input_files(patterns: Sequence[str], project: Path, *, parameter: str) -> dict[str, Path]:
    """File as shown -> path of all that the patterns mean: files, all files of folders, `*` and `**`."""
    found: dict[str, Path] = {}
    for pattern in patterns:
        place = project / pattern
        if any(character in pattern for character in "*?["):
            root = Path(place.anchor)
            paths = [path for path in root.glob(str(place.relative_to(root))) if path.is_file()]
        else:
            paths = _files_at(place)
        if not paths:
            raise _missing(parameter, pattern, place)
        found |= {os.path.relpath(path, project): path for path in sorted(paths)}
    return _each_once(found)


def _files_at(place: Path) -> list[Path]:
    """The file, or all files of the folder; none where nothing is."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place] if place.is_file() else []


def _missing(parameter: str, written: str, place: Path) -> PapergenError:
    near = [path.name for path in place.parent.iterdir()] if place.parent.is_dir() else []
    what = "nothing matches this" if "*" in written else "there is no such file or folder"
    beside = f" Beside it: {', '.join(sorted(near)[:8])}." if near else ""
    return PapergenError(
        f"{parameter}: {written}: {what} (looked in {place.parent}).{beside}", parameter=parameter.split(".")[0]
    )


def _each_once(files: Mapping[str, Path]) -> dict[str, Path]:
    """Without files that are there a second time by a link (`wandb/latest-run`)."""
    real = {path.resolve(): name for name, path in sorted(files.items(), key=lambda item: item[1] == item[1].resolve())}
    return {name: path for name, path in files.items() if real[path.resolve()] == name}


def input_digests(patterns: Sequence[str], project: Path, *, parameter: str = "inputs") -> Mapping[str, str]:
    """File as shown -> SHA-256."""
    return {name: known_digest(path) for name, path in input_files(patterns, project, parameter=parameter).items()}


def content_digests(params: BaseModel, project: Path) -> dict[str, str]:
    """SHA-256 of what every `Input` among the parameters names, by the parameter and not by the path.

    `prompts` for a file, `prompts/a.txt` for each file of a folder, `prompts.0` for the first of several.
    """
    found = {}
    for parameter, name in _inputs(params, ""):
        place = project / name.path
        files = _files_at(place)
        if not files:
            raise _missing(parameter, name, place)
        for path in files:
            inside = "" if path == place else f"/{path.relative_to(place).as_posix()}"
            found[parameter + inside] = known_digest(path)
    return found


def _inputs(value: Any, name: str) -> Iterator[tuple[str, Input]]:
    """Every input below a value, with the dotted name of its place."""
    before = f"{name}." if name else ""
    if isinstance(value, Input):
        yield name, value
    elif isinstance(value, BaseModel):
        for field in (*type(value).model_fields, *(value.model_extra or {})):
            yield from _inputs(getattr(value, field), before + field)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _inputs(item, f"{before}{key}")
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _inputs(item, f"{before}{at}")
