"""The rows of an author's file of examples, each with the place where it stands."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from papergen.core.errors import MachineError, PapergenError, counted
from papergen.core.files import decoded

DELIMITERS = {".csv": ",", ".tsv": "\t"}

Row = Mapping[str, Any] | ValueError
"""A row by column, or what is wrong with it."""


def rows_of(path: Path) -> Iterator[tuple[str, Row]]:
    """(place, row) of a CSV, TSV, JSON or JSON lines file in UTF-8, or of a folder written by datasets' save_to_disk.

    The place is the number of the line where the row begins, or "item 3" in a JSON array and a folder. PapergenError
    when nothing more can be read: another encoding, quotation marks that do not match, an unknown kind of file.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        yield from _saved_dataset(path)
    elif suffix in DELIMITERS:
        yield from _table(path, DELIMITERS[suffix])
    elif suffix in {".jsonl", ".json"}:
        text = decoded(path.read_bytes(), path.name)
        yield from _array(path, text) if text.lstrip()[:1] == "[" else _lines(text)
    else:
        raise PapergenError(
            f"{path.name}: neither .csv, .tsv, .jsonl, .json nor a folder written by datasets' save_to_disk."
        )


def _table(path: Path, delimiter: str) -> Iterator[tuple[str, Row]]:
    text = io.StringIO(decoded(path.read_bytes(), path.name), newline="")
    most = csv.field_size_limit(sys.maxsize)  # the default, 128 KiB, is less than a long document
    try:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            begin = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise PapergenError(
                    f"{path.name}:{begin}: the row that begins here cannot be read: {error}.",
                    hint='Put a value that holds a quotation mark or a comma in quotation marks: "so ""called"", yes".',
                ) from error
            if not values:  # a blank line
                continue
            if header is None:
                header = _header(path, begin, values)
            elif len(values) != len(header):
                yield (
                    str(begin),
                    ValueError(f"{counted(len(values), 'value')} for the columns {', '.join(header)}."),
                )
            else:
                yield str(begin), dict(zip(header, values, strict=True))
    finally:
        csv.field_size_limit(most)


def _header(path: Path, line: int, names: list[str]) -> list[str]:
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        raise PapergenError(
            f"{path.name}:{line}: one column {names[0]!r}: its values are separated by {other!r}.",
            hint="Separate them by commas (.csv) or by tabs (.tsv).",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PapergenError(f"{path.name}:{line}: two columns are called {twice!r}.")
    return names


def _lines(text: str) -> Iterator[tuple[str, Row]]:
    # Not splitlines(): within a JSON string some of what it splits at may stand as it is.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row: Row = _object(json.loads(line))
        except ValueError as error:
            row = ValueError(f"not JSON: {_what(error)}.")
        yield str(number), row


def _array(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    try:
        items = json.loads(text)
    except ValueError as error:
        raise PapergenError(f"{path.name}:{getattr(error, 'lineno', 1)}: not JSON: {_what(error)}.") from error
    for number, item in enumerate(items, start=1):
        yield f"item {number}", _object(item)


def _what(error: ValueError) -> str:
    return f"{error.msg} (column {error.colno})" if isinstance(error, json.JSONDecodeError) else str(error)


def _object(item: Any) -> Row:
    return item if isinstance(item, dict) else ValueError("a row must be one JSON object, {...}.")


def _saved_dataset(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        import datasets
    except ImportError as error:
        raise MachineError(
            f"{path.name} is a folder, and the package datasets, which reads it, is not installed.",
            hint="Type: pip install datasets",
        ) from error
    try:
        found = datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        raise PapergenError(f"{path.name}: not a folder that datasets' save_to_disk wrote: {error}") from error
    if isinstance(found, datasets.DatasetDict):
        raise PapergenError(
            f"{path.name}: it holds the splits {', '.join(found)}.",
            hint=f"Name one of them, as in train_file: {path.name}/{next(iter(found))}",
        )
    names = {column: _class_names(feature) for column, feature in found.features.items()}
    for number, row in enumerate(found, start=1):
        yield f"item {number}", {column: _named(value, names[column]) for column, value in row.items()}


def _class_names(feature: Any) -> list[str] | None:
    """The names of the classes that a column, or a column of lists, holds by number."""
    found: list[str] | None = getattr(getattr(feature, "feature", feature), "names", None)
    return found


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or value is None:
        return value
    return [_named(one, names) for one in value] if isinstance(value, list) else names[value]
