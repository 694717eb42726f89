"""CSV, JSON and JSONL files as lines: column -> value. What is not certain is an error at its line, never a guess."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.files import read_text
from papergen.experiment.external.readers.lines import Cell, Line

csv.field_size_limit(2**31 - 1)  # a generated text is longer than the 131,072 characters that Python allows a cell

TRAINER_STATE = "trainer_state.json"
"""What the Trainer of Hugging Face saves with each checkpoint; what it logged is the list `log_history` in it."""

NUM_SAMPLED = 20
"""Lines that the separator of a table is told from."""

_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?[,;\t]*')
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}:,\[\]]')


def read_lines(path: Path, where: str) -> list[Line]:
    """The lines of a file, by its ending."""
    if path.name == TRAINER_STATE:
        return lines_at("log_history", read_text(path, where), where)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise PapergenError(f"{where}: ends in {suffix or 'nothing'!r}. Known: {', '.join(READERS)}.")
    return READERS[suffix](read_text(path, where), where)


def csv_lines(text: str, where: str) -> list[Line]:
    """The lines below the header. A line `sep=;` above it names the separator, else it is the one that fits."""
    return _table(text, where, None)


def tsv_lines(text: str, where: str) -> list[Line]:
    """The lines below the header, with tabs between the cells."""
    return _table(text, where, "\t")


def _table(text: str, where: str, separator: str | None) -> list[Line]:
    num_above = 0
    first, _, rest = text.partition("\n")
    if match := _SEPARATOR_LINE.fullmatch(first.rstrip("\r")):
        separator, text, num_above = match[1], rest, 1
    separator = separator or _separator(text, where)
    records = _records(text, separator, where, num_above)
    at, header = next(records, (1, []))
    columns = [name.strip() for name in header]
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise PapergenError(f"{where}:{at}: the column {min(twice)!r} stands twice. Give one of them another name.")
    found: list[Line] = []
    for line, cells in records:
        if not cells and len(columns) > 1:
            continue
        if cells and len(cells) != len(columns):
            raise _wrong_number(f"{where}:{line}", len(cells), len(columns), separator)
        values = (Cell(cell.strip()) or None for cell in cells or [""])
        found.append(Line(zip(columns, values, strict=True), f"{where}:{line}"))
    while found and all(value is None for value in found[-1].values()):
        found.pop()  # spreadsheets end a table with lines of empty cells
    return found


def _records(text: str, separator: str, where: str, num_above: int) -> Iterator[tuple[int, list[str]]]:
    """The number of the line where each record begins, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        at = num_above + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            twice = 'A quotation mark that is text stands twice, in a cell in quotation marks: "5"" screen".'
            if "unexpected end" in str(error):
                raise PapergenError(
                    f'{where}:{at}: a quotation mark (") begins a cell here and no other ends it. Close it. {twice}'
                ) from error
            lines = f"{at} to {end}" if (end := num_above + reader.line_num) > at else f"{at}"
            raise PapergenError(
                f"{where}:{at}: text follows the closing quotation mark of a cell (line {lines}). {twice}"
            ) from error
        if cells is None:
            return
        yield at, cells


def _separator(text: str, where: str) -> str:
    """The separator that splits the first lines into as many cells as the header has; quotation marks are obeyed."""
    fits: dict[str, int] = {}
    for candidate in ",;\t":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=candidate)
        header, *others = itertools.islice(filter(None, reader), NUM_SAMPLED) if text.strip() else [[]]
        if len(header) > 1:
            fits[candidate] = sum(len(cells) == len(header) for cells in others)
    best = [candidate for candidate, count in fits.items() if count == max(fits.values())]
    if len(best) > 1 and max(fits.values()) > 0:
        shown = " or ".join({",": "commas", ";": "semicolons", "\t": "tabs"}[candidate] for candidate in best)
        raise PapergenError(
            f"{where}:1: {shown} may separate the cells. Write a line above the header that says which: sep={best[0]}"
        )
    return best[0] if best else ","


def _wrong_number(place: str, met: int, wanted: int, separator: str) -> PapergenError:
    shown = {"\t": "a tab"}.get(separator, f"{separator!r}")
    told = (
        f"A cell that holds {shown} stands in quotation marks."
        if met > wanted
        else f"An empty cell needs its separator ({shown}) too; a line that was cut off is to be deleted or completed."
    )
    return PapergenError(f"{place}: has {met} cell{'s' * (met != 1)}, the header {wanted}. {told}")


def json_lines(text: str, where: str) -> list[Line]:
    """An object is one line; a list of objects, several."""
    data = parse_json(text, where)
    items = data if isinstance(data, list) else [data]
    if not all(isinstance(item, dict) for item in items):
        raise PapergenError(f"{where}: expected an object or a list of objects.")
    return object_lines(items, where)


def lines_at(at: str, text: str, where: str) -> list[Line]:
    """The lines of the list, or of the objects with names, that stands at a dotted path of a JSON file."""
    inner = parse_json(text, where)
    for word in at.split("."):
        inner = inner.get(word) if isinstance(inner, Mapping) else None
    if isinstance(inner, Mapping):  # {"method": {...}}: the names become a column
        inner = [{"name": key, **value} for key, value in inner.items() if isinstance(value, Mapping)]
    if isinstance(inner, list) and all(isinstance(item, Mapping) for item in inner):
        return object_lines(inner, f"{where}, {at}")
    raise PapergenError(f"{where}: at: {at}: there is no list of objects at this place.")


def object_lines(items: Sequence[Mapping[str, Any]], where: str) -> list[Line]:
    """One line for each object of a list."""
    places = [f"{where}, item {number}" for number in range(1, len(items) + 1)] if len(items) > 1 else [where]
    return [Line(flat(item, place), place) for item, place in zip(items, places, strict=False)]


def jsonl_lines(text: str, where: str) -> list[Line]:
    """One object per line."""
    return [jsonl_line(line, where, at) for at, line in enumerate(text.split("\n"), start=1) if line.strip()]


def jsonl_line(text: str, where: str, at: int) -> Line:
    """Line number `at` of a JSONL file."""
    data = parse_json(text, where, at)
    if not isinstance(data, dict):
        raise PapergenError(f"{where}:{at}: expected an object.")
    return Line(flat(data, f"{where}:{at}"), f"{where}:{at}")


class _KeyTwiceError(ValueError):
    """An object has a key twice: JSON allows it and Python takes the last."""


def parse_json(text: str, where: str, first_line: int = 1) -> Any:
    """JSON whose first line is number `first_line` of a file; an object that has a key twice is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _KeyTwiceError
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise PapergenError(f"{where}:{first_line + error.lineno - 1}: not valid JSON ({error.msg}).") from error
    except _KeyTwiceError as error:
        key, line = _key_twice(text)
        raise PapergenError(
            f"{where}:{first_line + line - 1}: the key {key!r} stands twice in one object. Delete or rename one."
        ) from error


def _key_twice(text: str) -> tuple[str, int]:
    """The first key that an object of this valid JSON has a second time, and the line of that."""
    levels: list[set[str]] = []
    before: re.Match[str] | None = None
    for match in _JSON_TOKEN.finditer(text):
        if match[0] in "{[":
            levels.append(set())
        elif match[0] in "}]":
            levels.pop()
        elif match[0] == ":" and before is not None:
            key = json.loads(before[0])
            if key in levels[-1]:
                return key, text.count("\n", 0, before.start()) + 1
            levels[-1].add(key)
        before = match
    raise AssertionError("the parser found a key twice")


def flat(data: Mapping[str, Any], where: str, before: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        column = f"{before}{name}"
        inner = flat(value, where, f"{column}.") if isinstance(value, Mapping) else {column: value}
        if twice := found.keys() & inner.keys():
            raise PapergenError(f"{where}: {min(twice)!r} stands twice, as a key and as a path of keys. Rename one.")
        found |= inner
    return found


READERS: Mapping[str, Callable[[str, str], list[Line]]] = {
    ".json": json_lines,
    ".jsonl": jsonl_lines,
    ".ndjson": jsonl_lines,
    ".csv": csv_lines,
    ".tsv": tsv_lines,
}


class Follower:
    """Reads the lines that a running program adds to a JSONL file, each once and only when it is whole."""

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where
        self._offset, self._rest, self._count = 0, b"", 0

    def new_lines(self, *, is_over: bool = False) -> Iterator[Line]:
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
                yield jsonl_line(line.decode("utf-8-sig", errors="replace"), self.where, self._count)
