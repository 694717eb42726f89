"""`${env:NAME}` and `${env:NAME:-default}` in a configuration: replaced when it is read, and the origin remembered."""

from __future__ import annotations

import os
import re
from typing import Any

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.strict_yaml import parse_yaml

_PLACE = re.compile(r"\$\{([^{}]*)\}")
_ENV = re.compile(r"env:([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)
_SECRET = re.compile(r"secret:[A-Za-z_]\w*")


def interpolated(value: Any, where: str) -> Any:
    """`value` with every `${env:...}` in it replaced; `where` names it in errors. `${secret:...}` stays.

    A text that is nothing but one `${env:NAME}` becomes what YAML makes of the variable: a number, true, a list.
    """
    if isinstance(value, str) and "${" in value:
        return _text(value, where)
    if isinstance(value, dict):
        return {name: interpolated(item, where) for name, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, where) for item in value]
    return value


def environment_names(value: Any) -> list[str]:
    """The variables that `value` and all in it mention."""
    if isinstance(value, str):
        return [match.group(1) for match in re.finditer(r"\$\{env:([A-Za-z_]\w*)", value)]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [name for item in items for name in environment_names(item)]


def _text(text: str, where: str) -> Any:
    whole = _PLACE.fullmatch(text)
    if whole and _ENV.fullmatch(whole.group(1)):
        return _typed(_value(whole.group(1), text, where))
    return _PLACE.sub(lambda match: _value(match.group(1), match.group(), where), text)


def _value(inside: str, written: str, where: str) -> str:
    if _SECRET.fullmatch(inside):
        return written
    found = _ENV.fullmatch(inside)
    if found is None:
        raise PapergenError(f"{where}: {written}: write ${{env:NAME}}, ${{env:NAME:-default}} or ${{secret:NAME}}.")
    name, default = found.groups()
    value = os.environ.get(name, default)
    if value is None:
        near = did_you_mean(name, (other for other in os.environ if other[:2] == name[:2]))
        raise PapergenError(
            f"{where}: {written}: the environment has no variable {name}. {near if 'mean' in near else ''}".rstrip()
            + f" Type `export {name}=...`, or give a default: ${{env:{name}:-...}}."
        )
    return value


def _typed(text: str) -> Any:
    try:
        value = parse_yaml(text, "")
    except PapergenError:
        return text
    is_list = isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)
    return value if is_list or not isinstance(value, dict | list) else text
