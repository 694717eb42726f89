"""Text to train on and text held out, split so that no validation paragraph is ever trained on."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from papergen.core.errors import PapergenError
from papergen.core.files import digest_json, likely_encoding

EMBEDDED = "embedded"
"""Name of the text that every CPython carries: the language reference in `pydoc_data.topics`."""

MIN_PARAGRAPH = 40
"""Paragraphs of fewer characters ("Examples:") may stand on both sides of the split."""

_PARAGRAPHS = re.compile(r"(\n\s*\n)")


class CorpusSettings(Protocol):
    """What of the settings decides the text; the training and the decoding parameters both have it."""

    @property
    def corpus(self) -> str: ...  # noqa: D102
    @property
    def encoding(self) -> str: ...  # noqa: D102
    @property
    def validation_fraction(self) -> float: ...  # noqa: D102
    @property
    def documents(self) -> Literal["whole", "paragraphs"]: ...  # noqa: D102


class Encoder(Protocol):
    """What of a tokenizer is needed to cut prompts."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...  # noqa: D102
    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents by name, in a fixed order, on either side of the split."""

    name: str
    train: Mapping[str, str]
    validation: Mapping[str, str]
    digest: str
    """SHA-256 over the names and texts of both sides, so that text and split both count."""
    num_characters: int
    """Characters as read, before any were left out."""
    num_removed_characters: int
    """Characters of training paragraphs left out because the validation text has them too."""

    @property
    def train_text(self) -> str:
        """The training documents, blank lines between them."""
        return "\n\n".join(self.train.values())

    @property
    def validation_text(self) -> str:
        """The held-out documents, blank lines between them."""
        return "\n\n".join(self.validation.values())


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A held-out passage: what the model is shown and how the human author went on."""

    document: str
    ids: tuple[int, ...]
    reference_ids: tuple[int, ...]
    text: str
    reference_text: str
    is_complete: bool = False
    """Whether the reference runs to the end of its document, where an end of text follows."""


def load_corpus(settings: CorpusSettings, project: Path) -> Corpus:
    """The corpus that the settings name; a relative path is relative to the project.

    Where there are several documents (topics, files), whole documents are held out, chosen by the hash of their names;
    a single one is cut at a line near its end. Paragraphs that both sides share leave the training side.
    """
    if settings.corpus == EMBEDDED:
        return _embedded(settings.validation_fraction, settings.documents)
    documents = _read(project / Path(settings.corpus).expanduser(), settings)
    return _divided(settings.corpus, documents, settings.validation_fraction, settings.documents)


@functools.lru_cache(maxsize=4)
def _embedded(validation_fraction: float, pieces: Literal["whole", "paragraphs"]) -> Corpus:
    """The text that cannot change while this process lives, divided once for all rows."""
    from pydoc_data.topics import topics

    return _divided(EMBEDDED, {name: topics[name] for name in sorted(topics)}, validation_fraction, pieces)


def _divided(
    corpus: str, documents: Mapping[str, str], validation_fraction: float, pieces: Literal["whole", "paragraphs"]
) -> Corpus:
    if len(documents) > 1:
        train, validation = _split_documents(documents, validation_fraction)
    else:
        train, validation = _split_position(documents, validation_fraction)
    kept, num_removed = _without_shared(train, validation)
    if pieces == "paragraphs":
        kept, validation = _by_paragraph(kept), _by_paragraph(validation)
    for side, texts in (("training", kept), ("validation", validation)):
        if not any(text.strip() for text in texts.values()):
            raise PapergenError(
                f"corpus: {corpus} leaves no {side} text with validation_fraction = {validation_fraction}.",
                hint="Use a longer text, or another validation_fraction.",
                parameter="corpus",
            )
    return Corpus(
        name=corpus,
        train=kept,
        validation=validation,
        digest=digest_json([sorted(kept.items()), sorted(validation.items())]),
        num_characters=sum(map(len, documents.values())),
        num_removed_characters=num_removed,
    )


def prompts(
    corpus: Corpus, tokenizer: Encoder, *, count: int, prompt_tokens: int, reference_tokens: int
) -> tuple[Prompt, ...]:
    """`count` passages of the validation text, spread evenly over it, none overlapping, none across two documents.

    Each starts at the beginning of a line. A PapergenError says how many there are when they do not suffice.
    """
    length = prompt_tokens + reference_tokens
    found: list[Prompt] = []
    for name, text in corpus.validation.items():
        position = 0
        while position < len(text):
            # Tokens are at least one byte, so a window of 12 characters per token nearly always suffices to look at.
            ids = tokenizer.encode(text[position : position + 12 * length + 200], add_special_tokens=False)[:length]
            if len(ids) < length:
                break
            first, last = ids[:prompt_tokens], ids[prompt_tokens:]
            shown = tokenizer.decode(first, skip_special_tokens=False)
            continued = tokenizer.decode(last, skip_special_tokens=False)
            # A cut inside a character would show as U+FFFD and would not be the text of the author.
            if shown + continued == text[position : position + len(shown) + len(continued)]:
                found.append(
                    Prompt(
                        document=name,
                        ids=tuple(first),
                        reference_ids=tuple(last),
                        text=shown,
                        reference_text=continued,
                    )
                )
            line = text.find("\n", position + max(1, len(shown) + len(continued)))
            position = len(text) if line < 0 else line + 1
            while position < len(text) and text[position] == "\n":
                position += 1
    return _spread(found, count, f"passages of {prompt_tokens} + {reference_tokens} tokens", corpus)


def openings(
    corpus: Corpus, tokenizer: Encoder, *, count: int, prompt_tokens: int, reference_tokens: int
) -> tuple[Prompt, ...]:
    """The first `prompt_tokens` tokens of `count` validation documents and how each goes on to its end.

    References are of unequal length: what exceeds `reference_tokens` is cut, and such a reference is not complete.
    """
    found: list[Prompt] = []
    for name, text in corpus.validation.items():
        ids = tokenizer.encode(text, add_special_tokens=False)
        shown = tokenizer.decode(ids[:prompt_tokens], skip_special_tokens=False)
        if len(ids) <= prompt_tokens or not text.startswith(shown):
            continue
        last = ids[prompt_tokens : prompt_tokens + reference_tokens]
        found.append(
            Prompt(
                document=name,
                ids=tuple(ids[:prompt_tokens]),
                reference_ids=tuple(last),
                text=shown,
                reference_text=tokenizer.decode(last, skip_special_tokens=False),
                is_complete=prompt_tokens + len(last) == len(ids),
            )
        )
    return _spread(found, count, f"documents of more than {prompt_tokens} tokens", corpus)


def _spread(found: Sequence[Prompt], count: int, what: str, corpus: Corpus) -> tuple[Prompt, ...]:
    """`count` of those found, evenly spread; PapergenError when they do not suffice."""
    if len(found) < count:
        raise PapergenError(
            f"The held-out part of the corpus {corpus.name} has {len(found)} {what}, fewer than the {count} prompts "
            "asked for.",
            hint="Ask for fewer or shorter prompts, or raise validation_fraction.",
        )
    return tuple(found[index * len(found) // count] for index in range(count))


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, spaces made one, that are long enough to tell where they come from."""
    plain = (" ".join(piece.split()) for piece in _PARAGRAPHS.split(text))
    return [piece for piece in plain if len(piece) >= MIN_PARAGRAPH]


def _read(path: Path, settings: CorpusSettings) -> dict[str, str]:
    if path.is_file():
        return {path.name: _text(path, settings.encoding)}
    if not path.is_dir():
        raise PapergenError(
            f"corpus: {settings.corpus} is neither a file nor a folder ({path}).",
            hint=f"Give a path relative to the project, or `corpus: {EMBEDDED}`.",
            parameter="corpus",
        )
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise PapergenError(f"corpus: the folder {settings.corpus} holds no file ({path}).", parameter="corpus")
    texts = {file.relative_to(path).as_posix(): _text(file, settings.encoding) for file in files}
    return {name: text for name, text in texts.items() if text.strip()}


def _text(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    try:
        text = content.decode(encoding).removeprefix("\ufeff")  # Windows puts a byte-order mark before UTF-8
    except UnicodeDecodeError as error:
        line, found = content[: error.start].count(b"\n") + 1, likely_encoding(content)
        right = f"{found.lower()}, as it seems" if found else "the file's own"
        raise PapergenError(
            f"corpus: {path}:{line} is not {encoding} text.",
            hint=f"Set `encoding:` to {right}, or move the file out of the corpus folder.",
            parameter="corpus",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _split_documents(documents: Mapping[str, str], fraction: float) -> tuple[dict[str, str], dict[str, str]]:
    """Hold out whole documents, in the order of their names' hashes, as long as they fit into the share."""
    target = fraction * sum(map(len, documents.values()))
    held: set[str] = set()
    num_held = 0
    for name in sorted(documents, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if num_held + len(documents[name]) <= target:
            held.add(name)
            num_held += len(documents[name])
    if not held:
        held.add(min(documents, key=lambda name: (len(documents[name]), name)))
    train = {name: text for name, text in documents.items() if name not in held}
    return train, {name: text for name, text in documents.items() if name in held}


def _by_paragraph(documents: Mapping[str, str]) -> dict[str, str]:
    """Every paragraph as a document of its own, named after its document and its place there."""
    return {
        f"{name}#{place}": piece
        for name, text in documents.items()
        for place, piece in enumerate(piece.strip("\n") for piece in _PARAGRAPHS.split(text)[::2])
        if piece.strip()
    }


def _split_position(documents: Mapping[str, str], fraction: float) -> tuple[dict[str, str], dict[str, str]]:
    ((name, text),) = documents.items()
    cut = int(len(text) * (1 - fraction))
    line = text.find("\n", cut)
    cut = cut if line < 0 else line + 1
    return {name: text[:cut]}, {name: text[cut:]}


def _without_shared(train: Mapping[str, str], validation: Mapping[str, str]) -> tuple[dict[str, str], int]:
    held = {piece for text in validation.values() for piece in paragraphs(text)}
    kept: dict[str, str] = {}
    num_removed = 0
    for name, text in train.items():
        pieces = _PARAGRAPHS.split(text)
        clean = [piece for piece in pieces if " ".join(piece.split()) not in held]
        kept[name] = "".join(clean) if len(clean) < len(pieces) else text
        num_removed += len(text) - len(kept[name])
    return {name: text for name, text in kept.items() if text.strip()}, num_removed
