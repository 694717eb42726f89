"""What `check --fix` mends: bare specials in references.bib, and entries that stand twice word for word.

Every other byte of the file stays; nothing is sorted.
"""

from __future__ import annotations

from pathlib import Path

from papergen.core.files import write_atomic
from papergen.latex.bibliography.bibtex import Entry, parse
from papergen.latex.bibliography.database import PRINTED, special_offsets, with_specials_escaped


def fix(path: Path) -> list[str]:
    """Mend the .bib file in place; what was done, one line each."""
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8")
    text, removed = _without_copies(text, path.name)
    text, escaped = _escaped(text, path.name)
    if removed or escaped:
        write_atomic(path, text.encode("utf-8"))
    return [*removed, *escaped]


def _without_copies(text: str, file: str) -> tuple[str, list[str]]:
    """Without the later ones of entries that are equal in key, type and every field."""
    done: list[str] = []
    book = parse(text, file)
    for copy in reversed(book.copies):
        start, end = copy.span
        while end < len(text) and text[end] in " \t":
            end += 1
        end += text[end : end + 1] == "\n"
        text = text[:start] + text[end:]
        done.append(f"{file}:{copy.first_line}: took out the second {copy.key}")
    return text, done[::-1]


def _escaped(text: str, file: str) -> tuple[str, list[str]]:
    done: list[str] = []
    edits: list[int] = []
    for entry in parse(text, file).entries:
        for name in entry.fields:
            if PRINTED.fullmatch(name) and (offsets := _bare(entry, name)):
                edits += offsets
                done.append(
                    f"{file}:{entry.field_lines[name]}: escaped {len(offsets)} signs in the {name} of {entry.key}"
                )
    return with_specials_escaped(text, edits), done


def _bare(entry: Entry, name: str) -> list[int]:
    """Offsets in the file of the bare specials of a field."""
    found: list[int] = []
    for start, part in entry.field_parts[name]:
        found += [start + offset for offset in special_offsets(part)]
    return found
