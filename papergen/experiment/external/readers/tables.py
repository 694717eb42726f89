"""CSV, JSON and JSONL files as lines: column -> value. Nested objects have dotted columns, numbers are numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.files import read_text

_INTEGER = re.compile(r"^[-+]?[0-9]+$")


def read_lines(path: Path, where: str) -> list[dict[str, Any]]:
    """The lines of a file, by its ending."""
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise PapergenError(f"{where}: ends in {suffix or 'nothing'!r}. Known: {', '.join(READERS)}.")
    return READERS[suffix](read_text(path, where), where)


def csv_lines(text: str, where: str) -> list[dict[str, Any]]:
    """The lines below the header; the separator is a comma, a semicolon or a tab, whichever the header has."""
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    columns = [name.strip() for name in next(reader, [])]
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise PapergenError(f"{where}:1: the column {min(twice)!r} stands twice.")
    found = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(columns):
            raise PapergenError(f"{where}:{reader.line_num}: has {len(cells)} cells, the header {len(columns)}.")
        found.append({name: typed(cell) for name, cell in zip(columns, cells, strict=False)})
    return found


def json_lines(text: str, where: str) -> list[dict[str, Any]]:
    """An object is one line; a list of objects, several."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PapergenError(f"{where}:{error.lineno}: not valid JSON ({error.msg}).") from error
    items = data if isinstance(data, list) else [data]
    if not all(isinstance(item, dict) for item in items):
        raise PapergenError(f"{where}: expected an object or a list of objects.")
    return [flat(item) for item in items]


def jsonl_lines(text: str, where: str) -> list[dict[str, Any]]:
    """One object per line."""
    return [jsonl_line(line, f"{where}:{at}") for at, line in enumerate(text.split("\n"), start=1) if line.strip()]


def jsonl_line(text: str, where: str) -> dict[str, Any]:
    """One line of a JSONL file."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PapergenError(f"{where}: not valid JSON ({error.msg}).") from error
    if not isinstance(data, dict):
        raise PapergenError(f"{where}: expected an object.")
    return flat(data)


def flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def typed(cell: str) -> Any:
    """A cell as a number where it is one, None where it is empty, true and false as such, else text."""
    text = cell.strip()
    if not text:
        return None
    if text in {"true", "false", "True", "False", "TRUE", "FALSE"}:
        return text.lower() == "true"
    if _INTEGER.match(text):
        return int(text)
    try:
        return float(text) if "_" not in text else text
    except ValueError:
        return text


Steps = dict[float, dict[str, Any]]
"""Step -> metrics of a tracker's run."""


def run_lines(run: str, facts: Mapping[str, Any], steps: Steps) -> list[dict[str, Any]]:
    """One line per step of a run, or a single one where it only has facts."""
    if not steps:
        return [{"run": run, **facts}] if facts else []
    return [{"run": run, "step": step, **facts, **steps[step]} for step in sorted(steps)]


READERS: Mapping[str, Callable[[str, str], list[dict[str, Any]]]] = {
    ".json": json_lines,
    ".jsonl": jsonl_lines,
    ".ndjson": jsonl_lines,
    ".csv": csv_lines,
    ".tsv": csv_lines,
}


class Follower:
    """Reads the lines that a running program adds to a JSONL file, each once and only when it is whole."""

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where
        self._offset, self._rest, self._count = 0, b"", 0

    def new_lines(self, *, is_over: bool = False) -> Iterator[dict[str, Any]]:
        """What has been added since the last call; the last line may lack its end only when the program `is_over`."""
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._offset)
                data = self._rest + stream.read()
                self._offset = stream.tell()
        except FileNotFoundError:
            return
        *whole, self._rest = data.split(b"\n")
        if is_over and self._rest.strip():
            whole.append(self._rest)
        for line in whole:
            self._count += 1
            if line.strip():
                yield jsonl_line(line.decode("utf-8-sig", errors="replace"), f"{self.where}:{self._count}")
