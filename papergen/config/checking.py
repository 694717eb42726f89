"""Data against a typed model: every fault at once, each at its file and line with what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from papergen.core.errors import InvalidParametersError, ParameterFault, did_you_mean, gathered
from papergen.core.strict_yaml import full_width_note

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
    """One line of pydantic's list in words; several where the validator of the whole model told several faults."""
    raised = item.get("ctx", {}).get("error")
    if item["loc"] or not isinstance(raised, InvalidParametersError):
        return [_fault(model, item, where)]
    return [f"{_place(one, where, data)}: {one}{_defaults_in(model, one, data)}" for one in raised.faults]


def _place(fault: ParameterFault, where: Any, data: Mapping[str, Any]) -> str:
    """Where the first of its parameters stands that the author wrote."""
    written = [name for name in fault.parameters if name in data]
    return str(where(written[0]) if written else where())


def _defaults_in(model: type[BaseModel], fault: ParameterFault, data: Mapping[str, Any]) -> str:
    """A note on the values in a fault that the author never wrote."""
    names = [name for name in dict.fromkeys(fault.parameters) if name in _names(model, ()) and name not in data]
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
    if item["type"] == "value_error":
        return f"{place}: {name + ': ' if name else ''}{item['ctx']['error']}"
    message = str(item["msg"])
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
