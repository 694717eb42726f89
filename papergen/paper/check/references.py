"""The author's references.bib: what BibTeX stumbles over, what stands twice, lacks a field, or is never cited."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from papergen.core.errors import nearest_name
from papergen.latex.bibliography.bibtex import Entry, parse
from papergen.latex.problems import Code, Problem
from papergen.paper.check.base import Check, Subject, stops_a_build

REQUIRED: dict[str, tuple[str, ...]] = {
    "article": ("author", "title", "journal|journaltitle", "year|date"),
    "book": ("author|editor", "title", "publisher", "year|date"),
    "booklet": ("title",),
    "inbook": ("author|editor", "title", "chapter|pages", "publisher", "year|date"),
    "incollection": ("author", "title", "booktitle", "publisher", "year|date"),
    "inproceedings": ("author", "title", "booktitle", "year|date"),
    "conference": ("author", "title", "booktitle", "year|date"),
    "manual": ("title",),
    "mastersthesis": ("author", "title", "school|institution", "year|date"),
    "phdthesis": ("author", "title", "school|institution", "year|date"),
    "thesis": ("author", "title", "school|institution", "year|date"),
    "proceedings": ("title", "year|date"),
    "techreport": ("author", "title", "institution", "year|date"),
    "unpublished": ("author", "title", "note"),
    "misc": ("title",),
    "online": ("title", "url|doi|eprint"),
}
"""Entry type -> the fields that the standard styles warn about; `a|b` means one of them."""


def _unused(subject: Subject) -> Iterator[Problem]:
    cited = {key.lower() for key in subject.assembly.cited}
    if "*" in cited:
        return
    for entry in subject.bibliography.entries:
        if entry.key.lower() not in cited:
            message = f"the entry {entry.key} is never cited"
            yield _at(subject, Code.UNCITED, entry, message, "Cite it, or take it out.")


def _missing_fields(subject: Subject) -> Iterator[Problem]:
    for entry in subject.bibliography.entries:
        missing = [
            wanted.replace("|", " or ")
            for wanted in REQUIRED.get(entry.type, ())
            if not any(entry.fields.get(name, "").strip() for name in wanted.split("|"))
        ]
        if missing and "crossref" not in entry.fields:
            message = f"@{entry.type} {entry.key} has no {', no '.join(missing)}"
            remedy = "Add it; papergen cite add fetches whole entries by DOI or arXiv id."
            yield _at(subject, Code.MISSING_FIELD, entry, message, remedy)


KNOWN_TYPES = frozenset(REQUIRED) | {
    *("artwork", "audio", "bookinbook", "collection", "dataset", "electronic", "inreference", "mvbook", "patent"),
    *("periodical", "reference", "report", "software", "standard", "suppbook", "video", "www"),
}
"""Types that BibTeX's usual styles or biblatex know; BibTeX prints those of biblatex like @misc."""


def _unknown_types(subject: Subject) -> Iterator[Problem]:
    for entry in subject.bibliography.entries:
        if entry.type not in KNOWN_TYPES:
            message = f"no style knows the type of @{entry.type}{{{entry.key}, ...}}: it is printed like @misc"
            near = nearest_name(entry.type, KNOWN_TYPES)
            remedy = f"Did you mean {near}?" if near else "Write @misc, or @online."
            yield _at(subject, Code.UNKNOWN_TYPE, entry, message, remedy)


def doi_of(entry: Entry) -> str:
    """The DOI of an entry in its plain form, "" when it has none."""
    return re.sub(
        r"^(?:https?://)?(?:dx\.)?doi\.org/", "", entry.fields.get("doi", "").strip(), flags=re.IGNORECASE
    ).lower()


def title_of(entry: Entry) -> str:
    """The letters and digits of a title: equal for titles that differ in braces, accents, case and punctuation only."""
    bare = re.sub(r"\\[A-Za-z]+|\\.", "", entry.fields.get("title", ""))
    letters = unicodedata.normalize("NFKD", bare).casefold()
    return "".join(char for char in letters if char.isalnum())


def eprint_of(entry: Entry) -> str:
    """The arXiv number of an entry without its version, "" when it has none."""
    texts = (entry.fields.get(name, "") for name in ("eprint", "note", "journal", "url", "doi"))
    found = (re.search(r"(?<!\d)(\d{4}\.\d{4,5})(?:v\d+)?(?!\d)", text) for text in texts)
    return next((match[1] for match in found if match), "")


def same_work(a: Entry, b: Entry) -> str:
    """Why two entries are the same publication, "" when nothing says so."""
    for what, of in _IDENTITY.items():
        if of(a) and of(a) == of(b):
            return what
    return ""


_IDENTITY: dict[str, Callable[[Entry], str]] = {"DOI": doi_of, "arXiv number": eprint_of, "title": title_of}


def _duplicates(subject: Subject) -> Iterator[Problem]:
    entries = subject.bibliography.entries
    for index, entry in enumerate(entries):
        for earlier in entries[:index]:
            if what := same_work(earlier, entry):
                message = f"{entry.key} has the {what} of {earlier.key} (line {earlier.first_line})"
                yield _at(subject, Code.SAME_WORK, entry, message, "Keep one of them, and cite that.")
                break


def _preprints(subject: Subject) -> Iterator[Problem]:
    """A preprint beside which papergen knows the published version."""
    from papergen.report import citations

    known = [parsed for key in citations.known() for parsed in parse(citations.entry(key), key).entries]
    for entry in subject.bibliography.entries:
        if "booktitle" in entry.fields or not re.search("arxiv|corr", " ".join(entry.fields.values()), re.IGNORECASE):
            continue
        if "journal" in entry.fields and not re.search("arxiv|corr", entry.fields["journal"], re.IGNORECASE):
            continue
        for other in known:
            if title_of(entry) and title_of(other) == title_of(entry) and "booktitle" in other.fields:
                message = f"{entry.key} is cited as a preprint and was published in {other.fields['booktitle']}"
                remedy = f"Cite {other.key} instead: papergen has the entry."
                yield _at(subject, Code.PUBLISHED_PREPRINT, entry, message, remedy)


def _at(subject: Subject, code: Code, entry: Entry, message: str, remedy: str) -> Problem:
    return subject.in_project(code, message, subject.bibliography.file, entry.first_line, remedy=remedy)


CHECKS = (
    stops_a_build(
        "bib-syntax", "faults in references.bib: what BibTeX cannot read, keys that stand twice, bare % & _ #"
    ),
    Check(name="bib-duplicate", looks_for="entries with the same DOI, arXiv number or title", find=_duplicates),
    Check(name="bib-field", looks_for="entries that lack a field which their type requires", find=_missing_fields),
    Check(name="bib-type", looks_for="entries of a type that no style knows", find=_unknown_types),
    Check(name="bib-unused", looks_for="entries that are never cited", find=_unused),
    Check(name="bib-preprint", looks_for="preprints of which papergen knows the published version", find=_preprints),
)
