"""Entries into the author's references.bib: what is there already is not added twice, and no other byte is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from papergen.core.errors import PapergenError, gathered
from papergen.core.files import write_atomic
from papergen.latex.bibliography.bibtex import Bibliography, Entry, parse
from papergen.latex.bibliography.database import read_bib
from papergen.latex.problems import Code
from papergen.paper.check.references import same_work
from papergen.paper.cite.entry import checked_key, key_of, parsed, written
from papergen.paper.cite.registries import Identifier, fetch, identify
from papergen.report import citations


@dataclass(frozen=True)
class Added:
    """What became of one work: the key to cite, and its text when it is new."""

    key: str
    text: str = ""
    why: str = ""
    """Why nothing was added."""


def add(path: Path, works: Sequence[str], pasted: str, *, key: str = "", timeout_s: float = 20) -> list[Added]:
    """Append the works named and the entries pasted to a .bib file, each in order; the keys to cite them by.

    PapergenError (exit 2) or MachineError (exit 3) for the first that cannot be had; nothing is written then.
    """
    content, book = read_bib(path)
    if unreadable := [fault for fault in book.faults if fault.code is not Code.BARE_SPECIAL]:
        raise gathered([str(fault) for fault in unreadable], "faults in the bibliography; mend them first")
    if key and len(works) + bool(pasted) != 1:
        raise PapergenError("--key names one entry: add one at a time.")
    done: list[Added] = []

    def remember(added: Added) -> None:
        nonlocal content, book
        done.append(added)
        if added.text:
            content = _appended(content, added.text)
            book = parse(content.decode("utf-8"), path.name)

    for word in works:
        own = book.entry(word)
        remember(_here(own, book, "key") if own else _named(identify(word), book, key, timeout_s))
    entries = parsed(pasted, "the pasted BibTeX") if pasted else []
    if key and len(entries) > 1:
        raise PapergenError("--key names one entry, and several were pasted.")
    for entry in entries:
        remember(_pasted(entry, pasted, book, key))
    if any(added.text for added in done):
        write_atomic(path, content)
    return done


def _named(work: Identifier, book: Bibliography, key: str, timeout_s: float) -> Added:
    if (known := built_in(work)) is not None:
        entry = parsed(citations.entry(known), known)[0]
        if found := _present(entry, book):
            return found
        text = citations.entry(known)
        return Added(*_under(text, known, checked_key(key, book.keys) if key else known))
    source = f"the answer for {work}"
    entry = parsed(fetch(work, timeout_s=timeout_s), source)[0]
    if found := _present(entry, book):
        return found
    chosen = checked_key(key, book.keys) if key else key_of(entry, book.keys)
    return Added(chosen, written(entry, chosen))


def built_in(work: Identifier) -> str | None:
    """The key of the built-in entry of a work, which needs no network."""
    if work.kind == "built-in":
        return work.id
    for key, text in citations.entries().items():
        doi = citations.field(text, "doi").lower()
        names = {"doi": doi, "arxiv": citations.field(text, "eprint"), "acl": doi.removeprefix("10.18653/v1/")}
        if names[work.kind] and names[work.kind] == work.id.lower():
            return key
    return None


def _pasted(entry: Entry, text: str, book: Bibliography, key: str) -> Added:
    """A pasted entry as it is, byte for byte but its key."""
    if found := _present(entry, book):
        return found
    own = text[entry.span[0] : entry.span[1]].strip() + "\n"
    is_taken = book.entry(entry.key) is not None
    chosen = checked_key(key, book.keys) if key else key_of(entry, book.keys) if is_taken else entry.key
    return Added(*_under(own, entry.key, chosen))


def _under(text: str, old: str, new: str) -> tuple[str, str]:
    head, _, rest = text.partition(old)
    return new, head + new + rest


def _present(entry: Entry, book: Bibliography) -> Added | None:
    for other in book.entries:
        if what := same_work(other, entry):
            return _here(other, book, what)
    return None


def _here(entry: Entry, book: Bibliography, what: str) -> Added:
    return Added(entry.key, why=f"{book.file}:{entry.first_line} has it already, by its {what}")


def _appended(content: bytes, text: str) -> bytes:
    """The author's bytes, then the new entry with the line ends of the file."""
    end = "\r\n" if b"\r\n" in content else "\n"
    gap = "" if not content else end if content.endswith(b"\n") else end * 2
    return content + (gap + text.replace("\r\n", "\n").replace("\n", end)).encode("utf-8")
