"""Data sets with true labels, made from what every CPython carries: the language reference and the standard library.

Nobody annotated them: a paragraph's class is the topic it stands in, a word's tag what Python's own tokenizer says, an
answer the default value that the signature states, the right continuation the one that stands in the text. They depend
on the Python version, so their digest is part of a trial's.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import itertools
import keyword
import random
import re
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from papergen.core.files import digest_bytes, digest_json
from papergen.ml.tasks.examples import Choice, Example, Labelled, Question, Tagged, Text

NUM_TOPICS = 8
"""Classes of the topic data: the topics with the most paragraphs."""
HYPOTHESIS = "This is about {}."
NUM_OPTIONS = 4
TEST_SHARE = 0.2
MODULES = (
    "argparse",
    "calendar",
    "configparser",
    "csv",
    "dataclasses",
    "difflib",
    "fractions",
    "gettext",
    "heapq",
    "imaplib",
    "inspect",
    "locale",
    "mailbox",
    "optparse",
    "pickletools",
    "shutil",
    "smtplib",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "textwrap",
    "threading",
    "turtle",
    "unittest/case",
    "zipfile",
)
"""Modules of the standard library whose source is read; one that this Python lacks is left out."""
KEYWORDS = ("class", "def", "for", "if", "raise", "return")
"""First words of lines that are told from each other by what follows."""
LINES_PER_KEYWORD = 300
GAP = "_"
"""Stands where the keyword was taken out."""
ONLY_SOURCES = {"token_classification", "question_answering", "multiple_choice", "entailment"}
"""Tasks whose examples are made from the modules alone; the others read the language reference."""
FROM_SOURCES = {*ONLY_SOURCES, "masked_lm", "causal_lm"}
MIN_WORDS = 8
"""Of a paragraph."""
MAX_WORDS = 40
"""Of a line of code."""


@functools.cache
def embedded(task: str) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Training and test examples of a task, in a fixed order that has nothing to do with the text's."""
    makers = {
        "sequence_classification": _topics,
        "feature_extraction": _topics,
        "entailment": _entailments,
        "token_classification": _tagged_lines,
        "question_answering": _default_questions,
        "multiple_choice": _first_keywords,
        "next_paragraph": _next_paragraphs,
        "masked_lm": _texts,
        "causal_lm": _texts,
    }
    examples = list(dict.fromkeys(makers[task]()))
    examples.sort(key=lambda example: _hash(repr(example)))
    train = tuple(example for example in examples if not _is_held_out(example))
    return train, tuple(example for example in examples if _is_held_out(example))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _is_held_out(example: Example) -> bool:
    """By the hash of what must not stand on both sides, in whatever task: a context or text but for its first word.

    So a line of code that some task is tested on is in no task's training part, with its keyword taken out or not.
    """
    match example:
        case Question(_, context, _) | Choice(context, _, _):
            key = context
        case Labelled(text, _, _) | Text(text):
            key = text
        case Tagged(words, _):
            key = " ".join(words)
    return int(_hash(key.partition(" ")[2])[:8], 16) / 16**8 < TEST_SHARE


@functools.cache
def source_digest(task: str) -> str:
    """Digest of the texts that the examples of a task are made from: known without making them."""
    from pydoc_data.topics import topics

    sources = [digest_bytes(source.encode()) for source in _sources()] if task in FROM_SOURCES else []
    return digest_json([topics if task not in ONLY_SOURCES else {}, sources])


@functools.cache
def paragraphs_by_topic() -> Mapping[str, tuple[str, ...]]:
    """Topic -> its paragraphs of prose, those left out that stand in several topics."""
    from pydoc_data.topics import topics

    found: dict[str, list[str]] = {}
    for name in sorted(topics):
        pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", topics[name]))
        found[name] = [piece for piece in pieces if len(piece.split()) >= MIN_WORDS and not _is_drawing(piece)]
    places = Counter(piece for pieces in found.values() for piece in dict.fromkeys(pieces))
    return {name: tuple(piece for piece in pieces if places[piece] == 1) for name, pieces in found.items()}


def _is_drawing(piece: str) -> bool:
    """Whether it is grammar or a table drawn in characters, not prose."""
    return "::=" in piece or "--+" in piece


def _topics() -> Iterator[Example]:
    by_topic = paragraphs_by_topic()
    chosen = sorted(by_topic, key=lambda name: (-len(by_topic[name]), name))[:NUM_TOPICS]
    for name in chosen:
        for piece in by_topic[name]:
            yield Labelled(piece, name)


def _entailments() -> Iterator[Example]:
    """A line of code entails the sentence that names the one kind of literal it holds, and none that names another."""
    names = {"NUMBER": "numbers", "STRING": "strings", "COMMENT": "comments"}
    for example in dict.fromkeys(_tagged_lines()):
        assert isinstance(example, Tagged)
        kinds = {tag.partition("-")[2] for tag in example.tags} & names.keys()
        if len(kinds) != 1:
            continue
        text, own = " ".join(example.words), names[kinds.pop()]
        other = random.Random(_hash(text)).choice([name for name in names.values() if name != own])
        yield Labelled(text, "entailment", HYPOTHESIS.format(own))
        yield Labelled(text, "not entailment", HYPOTHESIS.format(other))


def _texts() -> Iterator[Example]:
    """Paragraphs of the language reference, those of the modules' docstrings, and lines of the modules' code.

    The reference alone, about 45,000 tokens, is too little to learn from; and code is what tags and questions are of.
    """
    for pieces in paragraphs_by_topic().values():
        for piece in pieces:
            yield Text(piece)
    for source in _sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for piece in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                    text = " ".join(piece.split())
                    if len(text.split()) >= MIN_WORDS and not _is_drawing(text):
                        yield Text(text)
    for example in _tagged_lines():
        assert isinstance(example, Tagged)
        yield Text(" ".join(example.words))


def _next_paragraphs() -> Iterator[Example]:
    by_topic = paragraphs_by_topic()
    everything = [piece for pieces in by_topic.values() for piece in pieces]
    for pieces in by_topic.values():
        for context, following in itertools.pairwise(pieces):
            draw = random.Random(_hash(context))
            others = draw.sample([piece for piece in everything if piece not in {context, following}], NUM_OPTIONS - 1)
            answer = draw.randrange(NUM_OPTIONS)
            options = [*others[:answer], following, *others[answer:]]
            yield Choice(context, tuple(options), answer)


def _first_keywords() -> Iterator[Example]:
    """Which of four lines of code was written? They differ in the keyword that begins them, each as often."""
    lines: dict[str, list[str]] = {name: [] for name in KEYWORDS}
    for example in dict.fromkeys(_tagged_lines()):
        assert isinstance(example, Tagged)
        first, *rest = example.words
        if first in lines:
            lines[first].append(f"{GAP} {' '.join(rest)}")
    for name, contexts in lines.items():
        contexts.sort(key=lambda context: _hash(f"choice {context}"))  # not what decides which are held out
        for context in contexts[:LINES_PER_KEYWORD]:
            draw = random.Random(_hash(context))
            others = draw.sample([other for other in KEYWORDS if other != name], NUM_OPTIONS - 1)
            answer = draw.randrange(NUM_OPTIONS)
            words = [*others[:answer], name, *others[answer:]]
            yield Choice(context, tuple(context.replace(GAP, word, 1) for word in words), answer)


def _sources() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for name in MODULES:
        for path in (library / f"{name}.py", library / name / "__init__.py"):
            if path.is_file():
                yield path.read_text(encoding="utf-8")


def _tagged_lines() -> Iterator[Example]:
    """Logical lines of code: keywords, numbers, strings and comments are the entities, names and operators are not."""
    for source in _sources():
        words: list[str] = []
        tags: list[str] = []
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            kind = _kind(token)
            if kind is not None:
                pieces = token.string.split()
                words += pieces
                tags += (
                    ["O"] * len(pieces)
                    if kind == "O"
                    else [f"{'B' if i == 0 else 'I'}-{kind}" for i in range(len(pieces))]
                )
            elif token.type in {tokenize.NEWLINE, tokenize.NL} and words:
                if 4 <= len(words) <= MAX_WORDS and any(tag != "O" for tag in tags):
                    yield Tagged(tuple(words), tuple(tags))
                words, tags = [], []


def _kind(token: tokenize.TokenInfo) -> str | None:
    if token.type == tokenize.NAME:
        return "KEYWORD" if keyword.iskeyword(token.string) else "O"
    return {
        tokenize.OP: "O",
        tokenize.NUMBER: "NUMBER",
        tokenize.STRING: "STRING",
        tokenize.COMMENT: "COMMENT",
    }.get(token.type)


def _default_questions() -> Iterator[Example]:
    """What is the default of a parameter? The signature says it, or says that there is none."""
    for source in _sources():
        lines = source.splitlines(keepends=True)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and not _has_wide_characters(
                lines[node.lineno - 1 : node.body[0].lineno]
            ):
                yield from _questions_of(node, lines)


def _has_wide_characters(lines: Sequence[str]) -> bool:
    """Ast counts columns in bytes: only in ASCII are they characters."""
    return not all(line.isascii() for line in lines)


def _questions_of(node: ast.FunctionDef, lines: Sequence[str]) -> Iterator[Question]:
    header = "".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
    doc = " ".join((ast.get_docstring(node) or "").split())[:200]
    positional = [*node.args.posonlyargs, *node.args.args]
    padded = [None] * (len(positional) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = [*zip(positional, padded, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    if not doc or not any(default for _, default in pairs):
        return
    # Spaces are made one, so places are counted in the text without them and found again by what stands before.
    context = f"{' '.join(header.split())} {doc}"
    for argument, default in pairs:
        question = f"What is the default of {argument.arg} in {node.name}?"
        if default is None:
            yield Question(question, context, ())
            continue
        before = "".join(lines[node.lineno - 1 : default.lineno - 1]) + lines[default.lineno - 1][: default.col_offset]
        if default.end_lineno != default.lineno:
            continue
        answer = lines[default.lineno - 1][default.col_offset : default.end_col_offset]
        if not any(char.isalnum() for char in answer):
            continue  # SQuAD's normalisation takes punctuation out: nothing would be left to compare
        start = len(" ".join(before.split())) + (1 if before[-1:].isspace() else 0)
        if answer and context[start : start + len(answer)] == answer:
            yield Question(question, context, ((start, answer),))
