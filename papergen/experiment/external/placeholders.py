"""`{name}` in a command line: checked against the parameters when the configuration is read, filled when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from papergen.core.errors import PapergenError

_PLACE = re.compile(r"\$\{secret:\w+\}|\{\{|\}\}|\{([^{}]*)\}|[{}]")

BUILT_IN = {
    "seed": "the trial's seed",
    "out": "a new folder for what the command writes; kept with the result",
    "project": "the project's folder",
    "scratch": "a folder that survives a killed attempt at this trial (checkpoints)",
    "device": "cpu or cuda",
    "num_threads": "CPU threads that the trial may use",
    "python": "the Python that papergen runs under",
}
"""Placeholders that need no parameter."""


def names_in(text: str) -> list[str]:
    """The names of the placeholders of a text, in order; ValueError for a brace without its partner."""
    found = []
    for match in _PLACE.finditer(text):
        if match.group() in {"{", "}"}:
            raise ValueError(f"{text!r} has a single {match.group()}: write {match.group() * 2} for the character.")
        if match.group(1) is not None:
            name = match.group(1).partition(":")[0]
            if not name.isidentifier():
                raise ValueError(f"{text!r}: {{{match.group(1)}}} names no parameter. Write {{{{ and }}}} for braces.")
            found.append(name)
    return found


def fill(text: str, values: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """`text` with its placeholders filled."""

    def replaced(match: re.Match[str]) -> str:
        if match.group(1) is None:  # a brace written twice, or a secret, which is revealed at the very end
            return match.group() if match.group().startswith("$") else match.group()[0]
        name, _, form = match.group(1).partition(":")
        return quote(shown(values[name], form))

    return _PLACE.sub(replaced, text)


def fill_word(word: str, values: Mapping[str, Any]) -> list[str]:
    """One word of a command as the words it becomes: a list fills several, `{flag:--flag}` of a false flag none."""
    match = _PLACE.fullmatch(word)
    if match is None or match.group(1) is None:
        return [fill(word, values)]
    name, _, form = match.group(1).partition(":")
    value = values[name]
    if isinstance(value, list | tuple):
        return [shown(item, form) for item in value]
    if isinstance(value, bool) and form:
        return [form] if value else []
    return [shown(value, form)]


def shown(value: Any, form: str = "") -> str:
    """A value as a command line has it."""
    if isinstance(value, bool):
        return (form if value else "") if form else str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(shown(item, form) for item in value)
    try:
        return format(value, form) if form else str(value)
    except (ValueError, TypeError) as error:
        raise PapergenError(
            f"command: {value!r} cannot be written as {{:{form}}} ({error}).", parameter="command"
        ) from error


def used_in(texts: Sequence[str]) -> list[str]:
    """The names of all placeholders, each once."""
    return list(dict.fromkeys(name for text in texts for name in names_in(text)))
