"""Data against a typed model: every fault at once, each at its file and line with what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from papergen.core.errors import did_you_mean, gathered
from papergen.core.strict_yaml import full_width_note

_ASSIGNED = re.compile(r"\b([A-Za-z_]\w*) = ")
M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], data: Mapping[str, Any], where: Any, *, heading: str = "faults in the configuration") -> M:
    """`data` as a `model`; all faults at once, each with where it stands, the value met and what would be right.

    `where(*path)` gives the `file:line` of the value at `path`.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = [text for item in error.errors() for text in _faults(model, item, where, data)]
        raise gathered(faults, heading) from error


def _faults(model: type[BaseModel], item: Any, where: Any, data: Mapping[str, Any]) -> list[str]:
    """The fault in words; one of the whole model may be several lines that each begin with their parameter."""
    if item["type"] != "value_error" or item["loc"]:
        return [_fault(model, item, where)]
    lines = str(item["msg"]).removeprefix("Value error, ").split("\n")
    named = [(re.split(r"[ :=]", line, maxsplit=1)[0], line) for line in lines]
    return [f"{_place(word, line, where, data)}: {line}{_defaults_in(model, line, data)}" for word, line in named]


def _place(word: str, line: str, where: Any, data: Mapping[str, Any]) -> str:
    """Where the parameter stands that a fault begins with; else the first that it names and the author wrote."""
    written = [name for name in (word, *_ASSIGNED.findall(line)) if name in data]
    return str(where(written[0]) if written else where())


def _defaults_in(model: type[BaseModel], line: str, data: Mapping[str, Any]) -> str:
    """A note on the values in a fault that the author never wrote."""
    names = [name for name in dict.fromkeys(_ASSIGNED.findall(line)) if name in _names(model, ()) and name not in data]
    if not names:
        return ""
    if len(names) == 1:
        return f" ({names[0]} is not written here and has its default: add a line `{names[0]}: ...`.)"
    return f" ({', '.join(names)} are not written here and have their defaults: add lines `{names[0]}: ...`.)"


def _fault(model: type[BaseModel], item: Any, where: Any) -> str:
    path = tuple(part for part in item["loc"] if isinstance(part, int) or not _is_branch(str(part)))
    name = ".".join(str(part) for part in path)
    place = where(*path)
    met = item.get("input")
    if item["type"] == "extra_forbidden":
        near = did_you_mean(str(path[-1]), _names(model, path[:-1]))
        return f"{place}: there is no parameter {name!r}. {near}{full_width_note(path[-1])}"
    if item["type"] == "missing":
        return f"{place}: {name} is missing. Add a line `{path[-1]}: ...`."
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{place}: {name + ': ' if name else ''}{message}"
    return f"{place}: {name} = {met!r}: {message[:1].lower()}{message[1:]}.{full_width_note(met)}"


def _is_branch(part: str) -> bool:
    """Pydantic puts the branch of a union into the path ("str", "From", "list[int]"); the author never wrote it."""
    return part in {"str", "int", "float", "bool", "none", "dict"} or "[" in part or part[:1].isupper()


def _names(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The parameter names of `model`, or of the model nested in it at `path`."""
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            for candidate in (annotation, *get_args(annotation)):
                if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                    model = candidate
    return [info.alias or name for name, info in model.model_fields.items()]
