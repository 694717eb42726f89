"""Lines of a file: column -> value, and the place where each stands. A cell is text until a number is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_INTEGER = re.compile(r"^[-+]?[0-9]+$")


class Cell(str):
    """The text of a table's cell. 1.10, 007 and 12e5 may be names: a cell is a number only where one is asked for."""

    __slots__ = ()


class Line(dict[str, Any]):
    """One line of a table, a JSON object or a step of a run: column -> value."""

    def __init__(self, columns: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), place: str = "") -> None:
        super().__init__(columns)
        self.place = place
        """`file:line`, for messages; "" for a tracker's records, which nobody edits by hand."""


def place_of(line: Mapping[str, Any], otherwise: str) -> str:
    """Where a line stands, for messages."""
    return getattr(line, "place", "") or otherwise


def typed(value: Any) -> Any:
    """A cell as a number where it is one, true and false as such, else text; what is no cell is what it is."""
    if not isinstance(value, Cell):
        return value
    if value in {"true", "false", "True", "False", "TRUE", "FALSE"}:
        return value.lower() == "true"
    if _INTEGER.match(value):
        return int(value)
    try:
        return float(value) if "_" not in value else str(value)
    except ValueError:
        return str(value)


class RunSteps:
    """What a tracker's run logged, in order.

    A metric that comes twice at one step begins a further line of that step: which of them holds is decided where the
    metric is read (`steps:`).
    """

    def __init__(self) -> None:
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self._newest: dict[float, int] = {}
        self._last_of: dict[str, int] = {}

    def add(self, step: float, key: str, value: Any) -> None:
        """One value; those of one metric come in the order in which they were logged."""
        at = self._newest.get(step, -1)
        if at <= self._last_of.get(key, -1):
            at = self._newest[step] = len(self.lines)
            self.lines.append((step, {}))
        self.lines[at][1][key] = value
        self._last_of[key] = at


def run_lines(run: str, facts: Mapping[str, Any], steps: RunSteps) -> list[dict[str, Any]]:
    """The lines of a run, or a single one where it only has facts."""
    if not steps.lines:
        return [{"run": run, **facts}] if facts else []
    return [{"run": run, "step": step, **facts, **found} for step, found in steps.lines]
