"""Labelled examples, one class per form of task, and how they are read from the author's files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from papergen.errors import MachineError, PapergenError, did_you_mean


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


def read_examples(task: str, path: Path, columns: Mapping[str, str]) -> list[Example]:
    """The examples of a CSV or JSONL file, or of a folder written by datasets' save_to_disk.

    In CSV, lists (words, tags, options, answers) are written as JSON. `answers` takes the form of SQuAD
    ({"text": [...], "answer_start": [...]}) or a list of texts that stand in the context.
    """
    unknown = [name for name in columns if name not in (*FIELDS[task], "second")]
    if unknown:
        raise PapergenError(f"columns: {task} has no field {unknown[0]!r}. {did_you_mean(unknown[0], FIELDS[task])}")
    found: list[Example] = []
    for number, row in _rows(path):
        values = {name: row.get(columns.get(name, name)) for name in (*FIELDS[task], "second")}
        for name in FIELDS[task]:
            if values[name] is None:
                column = columns.get(name, name)
                raise PapergenError(
                    f"{path.name}:{number}: there is no {column!r}. {did_you_mean(column, row)}",
                    hint=f"{task} needs {', '.join(FIELDS[task])}; name other columns by `columns: {{field: column}}`.",
                )
        try:
            found.append(_example(task, values))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise PapergenError(f"{path.name}:{number}: {error}") from error
    if not found:
        raise PapergenError(f"{path.name}: there is no example in it.")
    return found


def _example(task: str, values: Mapping[str, Any]) -> Example:
    if task in {"causal_lm", "masked_lm"}:
        return Text(str(values["text"]))
    if task in {"sequence_classification", "feature_extraction"}:
        return Labelled(str(values["text"]), str(values["label"]), str(values["second"] or ""))
    if task == "token_classification":
        words, tags = _list(values["words"]), _list(values["tags"])
        if len(words) != len(tags):
            raise ValueError(f"{len(words)} words have {len(tags)} tags; every word needs one.")
        return Tagged(tuple(map(str, words)), tuple(map(str, tags)))
    if task == "multiple_choice":
        options, answer = _list(values["options"]), int(values["answer"])
        if not 0 <= answer < len(options):
            raise ValueError(f"answer = {answer} is no index of {len(options)} options (counted from 0).")
        return Choice(str(values["context"]), tuple(map(str, options)), answer)
    context = str(values["context"])
    return Question(str(values["question"]), context, _answers(values["answers"], context))


def _answers(given: Any, context: str) -> tuple[tuple[int, str], ...]:
    data = json.loads(given) if isinstance(given, str) and given[:1] in "[{" else given
    if isinstance(data, Mapping):
        pairs = [(int(start), str(text)) for start, text in zip(data["answer_start"], data["text"], strict=True)]
    else:
        texts = [data] if isinstance(data, str) else list(data)
        pairs = [(context.find(str(text)), str(text)) for text in texts if str(text)]
    for start, text in pairs:
        if start < 0 or context[start : start + len(text)] != text:
            raise ValueError(f"the answer {text!r} does not stand in the context at {start}.")
    return tuple(pairs)


def _list(value: Any) -> Sequence[Any]:
    data = json.loads(value) if isinstance(value, str) else value
    if not isinstance(data, list | tuple):
        raise TypeError(f"{value!r} is no list (in CSV, write it as JSON).")
    return data


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(line number, row) of the file."""
    if path.is_dir():
        yield from enumerate(_saved_dataset(path), start=1)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                yield reader.line_num, row
    elif path.suffix in {".jsonl", ".json"}:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise PapergenError(f"{path.name}:{number}: not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise PapergenError(f"{path.name}:{number}: a line must be one JSON object.")
            yield number, row
    else:
        raise PapergenError(f"{path.name}: neither .csv, .jsonl nor a folder written by datasets' save_to_disk.")


def _saved_dataset(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise MachineError(
            f"{path.name} is a folder, and the package datasets, which reads it, is not installed.",
            hint="Type: pip install datasets",
        ) from error
    try:
        yield from datasets.load_from_disk(str(path))
    except (FileNotFoundError, ValueError) as error:
        raise PapergenError(f"{path.name}: not a folder that datasets' save_to_disk wrote: {error}") from error
