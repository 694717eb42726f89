"""`-o experiment.key.key=value`: one value of one experiment file replaced for this command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.strict_yaml import Document, Keys, parse_yaml


def override(documents: dict[str, Document], text: str) -> None:
    """Apply one `-o`. The keys are those of the file: `lr`, `rows.large.lr`, `grid.lr`, `presets.quick.lr`, `seeds`.

    A number means a place in a list; a row's name may hold dots.
    """
    where = f"-o {text}"
    target, equals, written = text.partition("=")
    name, _, rest = target.partition(".")
    if not equals or not rest:
        raise PapergenError(f"{where}: write experiment.parameter=value, for example -o training.steps=10.")
    if name not in documents:
        raise PapergenError(f"{where}: there is no experiment {name!r}. {did_you_mean(name, documents)}")
    document = documents[name]
    keys = _keys(rest, document.data)
    if any(key == "" for key in keys):
        raise PapergenError(f"{where}: there is an empty name between two dots.")
    value = parse_yaml(written, where)
    level: Any = document.data
    path: list[str | int] = []
    for key in keys[:-1]:
        if path == ["rows"] and key not in level:
            raise PapergenError(f"{where}: {name} has no row {key!r}. {did_you_mean(key, level)}")
        if path == ["presets"] and key not in level:
            raise PapergenError(f"{where}: {name} has no preset {key!r}. {did_you_mean(key, level)}")
        at = _place(level, key, where, ".".join(map(str, path)))
        path.append(at)
        if isinstance(level, dict) and level.get(key) is None:
            level[key] = {}
        level = level[at]
        if not isinstance(level, dict | list):
            raise PapergenError(f"{where}: {'.'.join(map(str, path))} holds one value, not further keys.")
    at = _place(level, keys[-1], where, ".".join(map(str, path)))
    level[at] = value
    overridden: Mapping[Keys, str] = {**document.overridden, (*path, at): where}
    documents[name] = replace(document, overridden=overridden)


def _keys(text: str, data: Mapping[str, Any]) -> list[str]:
    """The keys of a dotted path; the longest name of a row or preset wins, since it may hold dots itself."""
    section, _, rest = text.partition(".")
    names = data.get(section)
    if section in {"rows", "presets"} and isinstance(names, dict):
        known = [str(name) for name in names if rest == name or rest.startswith(f"{name}.")]
        if known:
            longest = max(known, key=len)
            further = rest[len(longest) + 1 :]
            return [section, longest, *(further.split(".") if further else [])]
    return text.split(".")


def _place(level: Any, key: str, where: str, shown: str) -> str | int:
    if isinstance(level, dict):
        return key
    if not key.isdigit() or int(key) >= len(level):
        raise PapergenError(f"{where}: {shown} is a list of {len(level)}: write a number from 0 to {len(level) - 1}.")
    return int(key)
