"""Labelled examples, one class per form of task, and how they are read from the author's files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.core.errors import PapergenError, did_you_mean
from papergen.ml.tasks.rows import Row, rows_of


@dataclass(frozen=True)
class Text:
    """Running text, for language models."""

    text: str


@dataclass(frozen=True)
class Labelled:
    """A text, or a pair of texts, of one class."""

    text: str
    label: str
    second: str = ""


@dataclass(frozen=True)
class Tagged:
    """Words with one tag each, in the IOB2 scheme: B-TYPE, I-TYPE or O."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A question about a context; `answers` holds (start character, text), none where the context has no answer."""

    question: str
    context: str
    answers: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Choice:
    """A context and the options to go on with, one of them right."""

    context: str
    options: tuple[str, ...]
    answer: int


Example = Text | Labelled | Tagged | Question | Choice

FIELDS: dict[str, tuple[str, ...]] = {
    "feature_extraction": ("text", "label"),
    "causal_lm": ("text",),
    "masked_lm": ("text",),
    "multiple_choice": ("context", "options", "answer"),
    "question_answering": ("question", "context", "answers"),
    "sequence_classification": ("text", "label"),
    "token_classification": ("words", "tags"),
}
"""Task -> what each row of a file must have. `second` may stand beside `text`."""
MOST_SHOWN = 5
"""Kinds of faults, and places of each, that are told."""
NO_COLUMN = "there is no"
IOB2 = re.compile(r"O|[BI]-.+")


def read_examples(task: str, path: Path, columns: Mapping[str, str]) -> list[Example]:
    """The examples of a CSV, TSV, JSON or JSON lines file, or of a folder written by datasets' save_to_disk.

    In CSV, lists (words, tags, options, answers) are written as JSON. `answers` takes the form of SQuAD
    ({"text": [...], "answer_start": [...]}) or a list of texts that stand in the context. PapergenError tells all rows
    that are no examples of the task, with their lines.
    """
    found: list[Example] = []
    faults: dict[str, list[str]] = {}
    for place, row in rows_of(path):
        try:
            example = _example(task, _values(task, row, columns))
            _same_number_of_options(example, found)
            found.append(example)
        except ValueError as error:
            faults.setdefault(str(error), []).append(place)
    if faults:
        has_other_columns = any(fault.startswith(NO_COLUMN) for fault in faults)
        raise PapergenError(
            _told(path.name, faults),
            hint=f"{task} needs {', '.join(FIELDS[task])}; name other columns by `columns: {{field: column}}`."
            if has_other_columns
            else "Mend or leave out these rows: a row is never left out without a word.",
        )
    if not found:
        raise PapergenError(f"{path.name}: there is no example in it.")
    return found


def _told(name: str, faults: Mapping[str, Sequence[str]]) -> str:
    """The faults, each with the places of the rows that have it."""
    lines = []
    for fault, places in list(faults.items())[:MOST_SHOWN]:
        more = f" and {len(places) - MOST_SHOWN} more" if len(places) > MOST_SHOWN else ""
        lines.append(f"{name}:{', '.join(places[:MOST_SHOWN])}{more}: {fault}")
    if len(faults) > MOST_SHOWN:
        lines.append(f"... and {sum(map(len, list(faults.values())[MOST_SHOWN:]))} more rows.")
    return "\n".join(lines)


def _values(task: str, row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    """The task's fields of a row; ValueError when one is missing."""
    if isinstance(row, ValueError):
        raise row
    for name in FIELDS[task]:
        column = columns.get(name, name)
        if column not in row:
            raise ValueError(f"{NO_COLUMN} {column!r}. {did_you_mean(column, row)}")
        if row[column] is None:
            raise ValueError(f"{column} is null.")
    return {name: row.get(columns.get(name, name)) for name in (*FIELDS[task], "second")}


def _example(task: str, values: Mapping[str, Any]) -> Example:
    """The example that a row says; ValueError with what is wrong with it."""
    if task in {"causal_lm", "masked_lm"}:
        return Text(_string("text", values["text"]))
    if task in {"sequence_classification", "feature_extraction"}:
        label = str(values["label"]) if isinstance(values["label"], int) else values["label"]
        return Labelled(_string("text", values["text"]), _string("label", label), _second(values["second"]))
    if task == "token_classification":
        words, tags = _strings("words", values["words"]), _strings("tags", values["tags"])
        if len(words) != len(tags):
            raise ValueError(f"{len(words)} words have {len(tags)} tags; every word needs one.")
        if strange := next((tag for tag in tags if not IOB2.fullmatch(tag)), None):
            raise ValueError(f"the tag {strange!r} is not of the IOB2 scheme: B-TYPE, I-TYPE or O.")
        return Tagged(words, tags)
    if task == "multiple_choice":
        options, given = _strings("options", values["options"]), values["answer"]
        answer = int(given) if str(given).isdecimal() else -1
        if not 0 <= answer < len(options):
            raise ValueError(f"answer = {given} is no index of {len(options)} options (counted from 0).")
        return Choice(_string("context", values["context"]), options, answer)
    context = _string("context", values["context"])
    return Question(_string("question", values["question"]), context, _answers(values["answers"], context))


def _same_number_of_options(example: Example, before: Sequence[Example]) -> None:
    if isinstance(example, Choice) and before and isinstance(before[0], Choice):
        counts = len(example.options), len(before[0].options)
        if counts[0] != counts[1]:
            raise ValueError(f"{counts[0]} options, and {counts[1]} in the first example: all must have as many.")


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} = {_short(value)} is no text.")
    if not value.strip():
        raise ValueError(f"{name} is empty.")
    return value


def _second(value: Any) -> str:
    return "" if value is None or value == "" else _string("second", value)


def _strings(name: str, value: Any) -> tuple[str, ...]:
    items = _json(name, value)
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f'{name} = {_short(value)} is no list of texts; in CSV it is written as JSON: ["a", "b"].')
    return tuple(str(item) if isinstance(item, int) else _string(f"one of {name}", item) for item in items)


def _answers(given: Any, context: str) -> tuple[tuple[int, str], ...]:
    data = _json("answers", given) if isinstance(given, str) and given[:1] in {"[", "{"} else given
    if isinstance(data, Mapping):
        starts, texts = data.get("answer_start"), data.get("text")
        if not isinstance(starts, list) or not isinstance(texts, list) or len(starts) != len(texts):
            raise ValueError('answers needs "text" and "answer_start", two lists of one length.')
        pairs = list(zip(starts, texts, strict=True))
    else:
        texts = [data] if isinstance(data, str) else data
        if not isinstance(texts, list):
            raise ValueError(f"answers = {_short(data)} is no list of texts.")
        pairs = [(context.find(str(text)), text) for text in texts if text != ""]
    for start, text in pairs:
        if not isinstance(start, int) or start < 0 or context[start : start + len(str(text))] != text or not text:
            raise ValueError(f"the answer {text!r} does not stand in the context at {start}.")
    return tuple(pairs)


def _json(name: str, value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f'{name} = {_short(value)} is no list written as JSON, ["a", "b"].') from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
