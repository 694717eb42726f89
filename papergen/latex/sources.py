r"""A reader of TeX sources: where `\result`, `\cite`, `\ref`, `\label`, `\input` and the like stand, and what they
name; and the sentences around them.

It knows comments, `\verb`, verbatim-like environments, `\iffalse ... \fi` and the end of the document, and nothing
else of TeX: a use that is built by a macro (`\cite{#1}`) has no name and is not reported.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "result",
    "claim",
    "says",
    "claimed",
    "cite",
    "ref",
    "label",
    "input",
    "figure",
    "bibliography",
    "style",
    "package",
    "class",
]

COMMANDS: dict[str, Kind] = {
    "result": "result",
    "claim": "claim",
    "says": "says",
    "claimed": "claimed",
    "label": "label",
    "input": "input",
    "include": "input",
    "subfile": "input",
    "includegraphics": "figure",
    "bibliography": "bibliography",
    "addbibresource": "bibliography",
    "bibliographystyle": "style",
    "usepackage": "package",
    "RequirePackage": "package",
    "documentclass": "class",
    **dict.fromkeys(
        ("ref", "autoref", "eqref", "pageref", "nameref", "vref", "cref", "Cref", "labelcref", "crefrange", "subref"),
        "ref",
    ),
}
CITE = re.compile(r"no?cite|[Cc]ite[a-zA-Z]*|(?:paren|text|foot|auto|full|super|smart)cite[a-z]*")
NOT_CITE = {"citestyle", "citename", "citeform", "citeleft", "citeright", "citemid", "citepunct", "citealias"}
LISTED: set[Kind] = {"cite", "ref", "bibliography", "package"}
"""Kinds whose argument is a list with commas."""

OPAQUE_ENVIRONMENTS = (
    "verbatim",
    "verbatim*",
    "Verbatim",
    "lstlisting",
    "minted",
    "comment",
    "alltt",
    "filecontents",
    "filecontents*",
)

_LEXER = re.compile(
    r"""(?P<comment>%[^\n]*)
      | (?P<verb>\\(?:verb|lstinline|url|nolinkurl)\*?(?:\[[^\]\n]*\])?(?P<quote>[^\sA-Za-z*{}\\])[^\n]*?(?P=quote))
      | (?P<url>\\(?:url|nolinkurl|path|href|lstinline|Verb)\s*\{[^{}\n]*\})
      | (?P<begin>\\begin\s*\{(?P<environment>[A-Za-z]+\*?)\})
      | (?P<false>\\iffalse(?![A-Za-z@]))
      | (?P<stop>\\end\s*\{document\})
      | \\.""",
    re.VERBOSE | re.DOTALL,
)
_COMMAND = re.compile(r"\\([A-Za-z@]+)\*?")
_CONDITIONAL = re.compile(r"\\(if[A-Za-z@]*|fi(?![A-Za-z@]))")


_SENTENCE_END = re.compile(
    r"\n[ \t]*\n|(?<!al)(?<!e\.g)(?<!i\.e)(?<!cf)(?<!vs)(?<!Fig)(?<!Eq)(?<!Sec)(?<!Tab)[.!?][\"')}]*\s+(?=[A-Z\\$(`])"
    r"|[。！？]|\\\\"
    r"|\\(?:item|(?:sub)*section|paragraph|caption|title|begin|end)\b\*?(?:\{[a-z*]+\}(?=\s))?"
)
_SENTENCE_REACH = 3000
"""Characters before and after a place in which the ends of its sentence are looked for."""


@dataclass(frozen=True)
class Use:
    """One name used in a source: `\\cite{a,b}` is two uses. `line` and `column` count from 1 and point at the name."""

    kind: Kind
    command: str
    argument: str
    option: str
    file: str
    line: int
    column: int


class Lines:
    """Offsets of a text as lines and columns, both from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        """The line and the column of a character."""
        line = bisect.bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


@functools.lru_cache(maxsize=256)
def masked(text: str, *, comments_only: bool = False) -> str:
    r"""`text` with spaces in the place of what TeX does not read as TeX, of equal length and with the same line ends.

    Comments, verbatim text, addresses in `\url`, `\iffalse ... \fi` and everything after `\end{document}`; with
    `comments_only`, what TeX prints as it stands (verbatim text, addresses) is kept.
    """
    out: list[str] = []
    position = 0
    for span in spans(text):
        hidden = text[span.start : span.end]
        if not comments_only or span.kind in {"comment", "false", "after"}:
            hidden = re.sub(r"[^\n]", " ", hidden)
        out += [text[position : span.start], hidden]
        position = span.end
    return "".join([*out, text[position:]])


@dataclass(frozen=True)
class Span:
    r"""A stretch of a source that TeX does not read as TeX.

    A comment with its `%`; verbatim text in a line; the argument of `\url`; the body of a verbatim-like environment;
    `\iffalse ... \fi`; what stands after `\end{document}`.
    """

    kind: Literal["comment", "verbatim", "address", "body", "false", "after"]
    start: int
    end: int
    environment: str = ""


def spans(text: str, opaque: Collection[str] = OPAQUE_ENVIRONMENTS) -> Iterator[Span]:
    """Every such stretch, in order; `opaque` names the environments that TeX takes as they stand."""
    position = 0
    while match := _LEXER.search(text, position):
        start, position = match.span()
        if match["comment"]:
            yield Span("comment", start, position)
        elif match["verb"]:
            yield Span("verbatim", start, position)
        elif match["url"]:
            yield Span("address", text.index("{", start) + 1, position - 1)
        elif match["begin"] and match["environment"] in opaque:
            options = group(text, position, "[]")
            start = options[2] if options else position
            stop = text.find(rf"\end{{{match['environment']}}}", start)
            position = stop if stop >= 0 else len(text)
            yield Span("body", start, position, match["environment"])
        elif match["false"]:
            position = _matching_fi(text, position)
            yield Span("false", start, position)
        elif match["stop"]:
            yield Span("after", position, len(text))
            return


def _matching_fi(text: str, start: int) -> int:
    depth = 1
    for match in _CONDITIONAL.finditer(text, start):
        depth += -1 if match[1] == "fi" else 1
        if depth == 0:
            return match.end()
    return len(text)


def group(text: str, position: int, pair: str) -> tuple[str, int, int] | None:
    """The argument that opens at or after `position` (white space skipped): its text, its start, and the offset
    behind it.

    None when another character stands there or the group never closes. Inside brackets, braces hide a `]`.
    """
    while position < len(text) and text[position] in " \t\n":
        position += 1
    if position >= len(text) or text[position] != pair[0]:
        return None
    depth, braces, start = 0, 0, position
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 2
            continue
        if pair == "[]" and char in "{}":
            braces += 1 if char == "{" else -1
        elif char == pair[0] and braces == 0:
            depth += 1
        elif char == pair[1] and braces == 0:
            depth -= 1
            if depth == 0:
                return text[start + 1 : position], start + 1, position + 1
        position += 1
    return None


def scan(text: str, file: str) -> Iterator[Use]:
    """Every use in one source, in the order of the text; `file` is what the uses say as their place."""
    plain = masked(text)
    lines = Lines(plain)
    for match in _COMMAND.finditer(plain):
        kind = _kind(match[1])
        if kind is None or _is_definition(plain, match.start()):
            continue
        position, option = match.end(), ""
        for index in range(2):
            if found := group(plain, position, "[]"):
                option = found[0] if index == 0 else option
                position = found[2]
        if (found := group(plain, position, "{}")) is None:
            continue
        argument, start, _ = found
        for name, offset in _names(argument, start, listed=kind in LISTED):
            if kind in {"claim", "says"} or not re.search("#" if kind == "result" else r"[#\\]", name):
                line, column = lines.at(offset)
                yield Use(kind, match[1], name, option.strip(), file, line, column)


def _kind(command: str) -> Kind | None:
    if command in COMMANDS:
        return COMMANDS[command]
    return "cite" if CITE.fullmatch(command) and command not in NOT_CITE else None


def _is_definition(text: str, start: int) -> bool:
    r"""Whether the command is the one being defined: `\newcommand{\cite}`, `\def\ref`, `\let\label`."""
    before = text[max(0, start - 40) : start]
    return bool(re.search(r"\\(?:[a-zA-Z]*command\*?|def|let|[A-Za-z]*DocumentCommand)\s*\{?\s*$", before))


def _names(argument: str, start: int, *, listed: bool) -> Iterator[tuple[str, int]]:
    offset = 0
    for part in argument.split(",") if listed else [argument]:
        name = part.strip()
        if name:
            yield re.sub(r"\s+", " ", name), start + offset + part.index(name[0])
        offset += len(part) + 1


def sentence_bounds(plain: str, start: int, end: int) -> tuple[int, int]:
    """Where the sentence, table row or heading begins and ends that holds the characters from `start` to `end`."""
    begin, stop = max(0, start - _SENTENCE_REACH), min(len(plain), end + _SENTENCE_REACH)
    first, last = begin, stop
    for match in _SENTENCE_END.finditer(plain, begin, stop):
        if match.end() <= start:
            first = match.end()
        elif match.start() >= end:
            last = match.start() + len(match[0].rstrip()) if match[0][0] in ".!?。！？" else match.start()
            break
    return first, last


def sentence_at(text: str, offset: int) -> str:
    """The sentence of a TeX source that holds the character at `offset`, on one line, comments left out."""
    plain = masked(text, comments_only=True)
    first, last = sentence_bounds(plain, offset, offset)
    return re.sub(r"\s+", " ", plain[first:last]).strip()
