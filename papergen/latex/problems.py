"""What can be wrong with a paper: a code for each fault, and how one is told: place, line, cause and remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from papergen.core.errors import PapergenError
from papergen.core.widths import width_of


class Code(Enum):
    """What a finding is: (the check whose name allows it, its meaning in one line).

    `check` decides by it, never by the words of a message. A code without a check is told by a build alone.
    """

    UNKNOWN_RESULT = "result", "`\\result` names a key that no result has"
    NO_RESULT = "result", "a number, table, figure or text of a run that is stale, failed, NaN or not there yet"
    UNSUPPORTED_CLAIM = "claim", "the results contradict a claim"
    UNDECIDED_CLAIM = "claim", "a claim that cannot be decided: results are missing, or its assertion is wrong"
    CLAIM_TEXT = "claim", "the text of a claim is missing, or is not complete LaTeX"
    DECLARATION = "declared", "a table or figure of paper.yaml that cannot be made as it is declared"
    SAME_FILE = "declared", "two tables, figures or texts of experiments whose names make one file name"
    NO_TABLE_OF_RUNS = "declared", "`provenance: links` without the table of runs to link to"
    UNDEFINED_REFERENCE = "reference", "`\\ref` names a label that is nowhere"
    REPEATED_LABEL = "reference", "a label that is defined more than once"
    MISSING_FILE = "file", "`\\input` names a file that is nowhere"
    MISSING_FIGURE = "file", "`\\includegraphics` names a file that is nowhere"
    DAMAGED_FIGURE = "file", "a figure whose content is not of the format that its name says"
    UNCLOSED_BRACE = "balance", "a `{` without its `}`"
    STRAY_BRACE = "balance", "a `}` without its `{`"
    UNCLOSED_ENVIRONMENT = "balance", "a `\\begin` without its `\\end`"
    STRAY_END = "balance", "an `\\end` without its `\\begin`"
    ODD_DOLLARS = "balance", "a paragraph with an odd number of `$` or `$$`"
    MISPLACED = "balance", "a command or text where LaTeX does not allow it"
    NOT_UTF8 = "character", "a source that is not UTF-8 text"
    UNPRINTABLE = "character", "a character that the engine cannot print"
    LOST_CHARACTER = "character", "a character that the font lacks: TeX would leave it out"
    MISSING_BIBLIOGRAPHY = "citation", "`\\bibliography` names a file that is nowhere"
    UNDEFINED_CITATION = "citation", "`\\cite` names a key that no entry has"
    TYPED_NUMBER = "typed-number", "a number typed by hand that is, or nearly is, a result"
    TYPED_RATIO = "typed-ratio", "a ratio typed by hand that is, or nearly is, that of two results"
    BIB_SYNTAX = "bib-syntax", "what BibTeX cannot read in references.bib"
    REPEATED_KEY = "bib-syntax", "a key that stands twice: BibTeX takes the first entry only"
    REPEATED_ENTRY = "bib-syntax", "an entry that stands twice word for word; `--fix` takes the second out"
    BARE_SPECIAL = "bib-syntax", "a bare `% & _ # ^` in a printed field; `--fix` escapes it"
    SAME_WORK = "bib-duplicate", "two entries of one work"
    MISSING_FIELD = "bib-field", "an entry without a field that its type requires"
    UNKNOWN_TYPE = "bib-type", "an entry of a type that no style knows"
    UNCITED = "bib-unused", "an entry that is never cited"
    PUBLISHED_PREPRINT = "bib-preprint", "a preprint of which papergen knows the published version"
    UNREFERENCED_FLOAT = "unreferenced", "a figure or table that the text never refers to"
    UNLABELLED_FLOAT = "unreferenced", "a figure or table with a number and no label to refer to it"
    OVERFULL = "overfull", "text that sticks out of its column or page"
    TOO_LONG = "page-limit", "more pages than the venue takes"
    BITMAP_FONT = "font", "a Type 3 font"
    FONT_NOT_EMBEDDED = "font", "a font that the PDF does not carry"
    COARSE_PICTURE = "resolution", "a bitmap of too few dots per inch"
    AUTHOR_NAMED = "anonymous-name", "an author's name, address or affiliation in the text"
    ACKNOWLEDGEMENT = "anonymous-thanks", "acknowledgements"
    OWN_WORK = "anonymous-thanks", "other work that the text calls the authors' own"
    REPOSITORY = "anonymous-link", "a link to a repository"
    AUTHOR_IN_METADATA = "anonymous-metadata", "an author's name in the PDF's metadata"
    AUTHOR_MISSING = "author-missing", "an author who is not printed in the final version"
    STILL_BLIND = "still-blind", "words of a blind review in the final version"
    UNKNOWN_CHECK = "mark", "a mark that allows what no check is called"
    NO_REASON = "mark", "a mark without a reason"
    UNUSED_MARK = "mark", "a mark where nothing is found any more"
    TEX = "", "an error of TeX, in TeX's words"
    BIBTEX = "", "an error of BibTeX or biber, in its words"
    ENGINE_FAILED = "", "TeX ended without a PDF and without an error in its log"
    NO_PAGES = "", "a document without a page"
    UNSETTLED = "", "references that still change after the last pass"
    WARNING = "", "a warning of LaTeX, in its words"

    def __init__(self, check: str, meaning: str) -> None:
        self.check = check
        self.meaning = meaning

    @property
    def slug(self) -> str:
        """`undefined-reference`, as records and the documentation write it."""
        return self.name.lower().replace("_", "-")


WARNINGS = frozenset({Code.OVERFULL, Code.WARNING})
"""What does not forbid a PDF."""


@dataclass(frozen=True)
class Place:
    """A position in a file of the tree; `line` and `column` count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Problem:
    """Something wrong with the paper: where (in the author's file), what, the line, the usual cause, the remedy."""

    code: Code
    message: str
    place: Place = Place("")
    excerpt: str = ""
    cause: str = ""
    remedy: str = ""
    size_pt: float = 0.0
    """Of an overfull box: by how much."""
    about: str = ""
    """What it is about: the key of a citation, the name of an environment, `\\result{decoding/nucleus/rep_4}`."""
    shared: str = ""
    """What it has in common with others (one stale experiment behind many results): many of them are told at once."""

    @property
    def is_error(self) -> bool:
        """Whether it forbids a PDF."""
        return self.code not in WARNINGS

    def to_json(self) -> dict[str, object]:
        """As plain data."""
        return {**vars(self), "code": self.code.name, "place": vars(self.place)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Problem:
        """The problem that `to_json` wrote."""
        return cls(**{**data, "code": Code[data["code"]], "place": Place(**data["place"])})

    def __str__(self) -> str:
        """`file:line: message`, then the line with a mark under the column, the cause and the remedy."""
        where = self.place.file + (f":{self.place.line}" if self.place.line else "")
        lines = [f"{where}: {self.message}" if where else self.message]
        if self.excerpt:
            shown, column = _window(self.excerpt, self.place.column)
            lines.append(f"    {shown}")
            if column:
                lines.append(f"    {' ' * width_of(shown[: column - 1])}^")
        lines += [f"  {text}" for text in (self.cause, self.remedy) if text]
        return "\n".join(lines)


TOLD_ALONE = 3
"""Problems that share a cause and are each told in full; more are told at once."""
NAMED = 3
"""Places that are named of those told at once."""


def grouped_by_cause(problems: Sequence[Problem]) -> list[list[int]]:
    """The numbers of the problems, in their order: those that share what many share in one list, others alone."""
    sharing: dict[tuple[Code, str, str], list[int]] = {}
    for index, problem in enumerate(problems):
        if problem.shared:
            sharing.setdefault((problem.code, problem.shared, problem.remedy), []).append(index)
    groups = {group[0]: group for group in sharing.values() if len(group) > TOLD_ALONE}
    grouped = {index for group in groups.values() for index in group}
    return [groups.get(index, [index]) for index in range(len(problems)) if index in groups or index not in grouped]


def summary_of(problems: Sequence[Problem]) -> str:
    """Problems that share their cause: the cause, how many there are, the first few keys or files, the remedy."""
    remedy = problems[0].remedy
    lines = [f"{problems[0].shared}: {len(problems)} places"]
    named: dict[str, Place] = {}
    for problem in problems:
        named.setdefault(problem.about, problem.place)
    for name, place in list(named.items())[:NAMED]:
        where = place.file + (f":{place.line}" if place.line else "")
        lines.append(f"    {where}: {name}")
    others = len(problems) - min(NAMED, len(named))
    return "\n".join([*lines, f"    and {others} more", *([f"  {remedy}"] if remedy else [])])


def _window(text: str, column: int, width: int = 100) -> tuple[str, int]:
    """At most `width` characters of a line around a column, and the column in them."""
    stripped = text.rstrip()
    if len(stripped) <= width:
        return stripped, column
    start = max(0, min(column - width // 2, len(stripped) - width))
    return stripped[start : start + width], max(0, column - start)


class TexError(PapergenError):
    """The paper does not compile, or must not be published as it is; `problems` holds every fault, the first first."""

    def __init__(self, problems: Sequence[Problem], heading: str = "problems in the paper", hint: str | None = None):
        assert problems, "a TexError says what is wrong"
        groups = [[problems[index] for index in group] for group in grouped_by_cause(problems)]
        texts = [summary_of(group) for group in groups if len(group) > 1]
        texts += _each_once([group[0] for group in groups if len(group) == 1])
        head = [] if len(problems) == 1 else [f"{len(problems)} {heading}:"]
        super().__init__("\n".join([*head, *texts]), hint=hint)
        self.problems = tuple(problems)


def _each_once(problems: Sequence[Problem]) -> list[str]:
    """The problems in order; what is wrong in several places is said at the first, which names the others."""
    alike: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.message, problem.cause, problem.remedy), []).append(problem)
    texts = []
    for first, *others in alike.values():
        texts.append(str(first))
        places = dict.fromkeys(f"{other.place.file}:{other.place.line}" for other in others if other.place.line)
        if places:
            texts.append(f"  The same at {', '.join(places)}.")
    return texts
