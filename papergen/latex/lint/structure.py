r"""Braces, environments and dollar signs that do not pair, and commands where they cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from papergen.core.errors import nearest
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.sources import Lines, group, masked
from papergen.latex.tree import SourceTree

_TOKEN = re.compile(r"\\(?P<edge>begin|end)\s*\{(?P<environment>[^{}\\#]*)\}|\\.|(?P<brace>[{}])", re.DOTALL)
_DEFINITION = re.compile(
    r"\\(?:re)?new(?:environment|command)\*?|\\providecommand\*?|\\(?:New|Renew|Provide|Declare)\w*Document\w+"
    r"|\\DeclareRobustCommand\*?|\\[egx]?def(?=\s*\\)|\\AtBeginDocument|\\AtEndDocument|\\lstnewenvironment"
)


_ARGUMENT = re.compile(r"\\(footnote|(?:sub)*section|paragraph|caption|title|emph|textbf)\*?(?![A-Za-z])")
_LIST = re.compile(r"\\begin\{(itemize|enumerate|description)\}")


class _Found(NamedTuple):
    """A fault at an offset of a text; `about` is the name of the environment, where it is of one."""

    offset: int
    code: Code
    message: str
    remedy: str
    about: str = ""


def unbalanced(tree: SourceTree, name: str) -> list[Problem]:
    """Every brace, environment and formula of one file that is not closed, or closes nothing, at the one that opens."""
    text = masked(tree.text(name))
    lines = Lines(text)
    return [
        tree.problem(one.code, one.message, Place(name, *lines.at(one.offset)), remedy=one.remedy, about=one.about)
        for one in sorted([*_pairs(text, lines), *_dollars(text)], key=lambda one: (one.offset, one.message))
    ]


def _pairs(text: str, lines: Lines) -> Iterator[_Found]:
    spans = list(_definitions(text))
    stack: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(text):
        at = match.start()
        if match["brace"] == "{":
            stack.append(("{", at))
        elif match["brace"] == "}":
            if stack and stack[-1][0] == "{":
                stack.pop()
            elif stack and any(opener == "{" for opener, _ in stack):
                while stack[-1][0] != "{":
                    yield _unclosed(*stack.pop())
                stack.pop()
            else:
                remedy = "Remove it, or add the { that it should close."
                yield _Found(at, Code.STRAY_BRACE, "this } closes nothing", remedy)
        elif match["edge"] and not any(start <= at < end for start, end in spans):
            environment = match["environment"].strip()
            if match["edge"] == "begin":
                stack.append((environment, at))
                continue
            if any(opener == environment for opener, _ in stack):
                while stack[-1][0] != environment:
                    yield _unclosed(*stack.pop())
                stack.pop()
            else:
                opener, opened = stack[-1] if stack else ("", 0)
                is_partner = opener not in {"", "{", "document"} and bool(nearest(environment, [opener]))
                message, about = f"\\end{{{environment}}} has no \\begin{{{environment}}}", environment
                if is_partner:
                    about = ""
                    message = f"\\end{{{environment}}} closes \\begin{{{opener}}} of line {lines.at(opened)[0]}"
                    stack.pop()
                remedy = f"Correct its name, remove it, or add \\begin{{{environment}}}."
                yield _Found(at, Code.STRAY_END, message, remedy, about)
    for opener, at in stack:
        yield _unclosed(opener, at)


def _unclosed(opener: str, at: int) -> _Found:
    if opener == "{":
        remedy = "Add its }. A % hides the rest of its line, a } too: write \\% for the sign."
        return _Found(at, Code.UNCLOSED_BRACE, "this { is never closed", remedy)
    message = f"\\begin{{{opener}}} is never closed"
    return _Found(at, Code.UNCLOSED_ENVIRONMENT, message, f"Add \\end{{{opener}}}.", opener)


def _definitions(text: str) -> Iterator[tuple[int, int]]:
    r"""The spans of definitions, in which a \begin may stand without its \end."""
    for match in _DEFINITION.finditer(text):
        position = match.end()
        if match[0].endswith("def"):
            brace = text.find("{", position)
            position = brace if brace >= 0 else position
        else:
            position = _skip_name(text, position)
        while found := group(text, position, "{}") or group(text, position, "[]"):
            position = found[2]
        yield match.start(), position


def _skip_name(text: str, position: int) -> int:
    match = re.compile(r"\s*\\[A-Za-z@]+").match(text, position)
    return match.end() if match else position


def _dollars(text: str) -> Iterator[_Found]:
    """Paragraphs with an odd number of dollar signs: TeX would read on to the end of the paragraph as a formula."""
    for match in re.finditer(r"(?:[^\n]*\S[^\n]*\n?)+", text):
        signs = [found for found in re.finditer(r"\\.|\$\$?", match[0], re.DOTALL) if found[0][0] == "$"]
        displays = [found.start() for found in signs if found[0] == "$$"]
        dollars = [found.start() for found in signs if found[0] == "$"]
        if not dollars and len(displays) % 2:
            remedy = "Close the formula with $$, and leave no empty line in it."
            yield _Found(
                match.start() + displays[-1], Code.ODD_DOLLARS, "an odd number of $$ in this paragraph", remedy
            )
        elif len(dollars) % 2:
            remedy = "Add the other $ of the formula, or write \\$ for the sign."
            yield _Found(match.start() + dollars[-1], Code.ODD_DOLLARS, "an odd number of $ in this paragraph", remedy)


def misplaced(tree: SourceTree, name: str) -> Iterator[Problem]:
    r"""\verb in an argument, a caption in a caption, text before a list's first \item: each at its own line.

    TeX stumbles over them later, in words that say something else.
    """
    text = masked(tree.text(name), comments_only=True)
    lines = Lines(text)

    def problem(message: str, offset: int, remedy: str) -> Problem:
        return tree.problem(Code.MISPLACED, message, Place(name, *lines.at(offset)), remedy=remedy)

    for match in _ARGUMENT.finditer(text):
        short = group(text, match.end(), "[]")
        if (argument := group(text, short[2] if short else match.end(), "{}")) is None:
            continue
        if verb := re.search(r"\\verb\b", argument[0]):
            message = f"\\verb does not work inside \\{match[1]}{{...}}"
            yield problem(message, argument[1] + verb.start(), r"Write \texttt{...} with \_ and \% for the signs.")
        if match[1] == "caption" and (inner := re.search(r"\\caption\b", argument[0])):
            message = "a \\caption stands inside another one"
            yield problem(message, argument[1] + inner.start(), "Close the first one before it, or take it out.")
    for match in _LIST.finditer(text):
        options = group(text, match.end(), "[]")
        start = options[2] if options else match.end()
        first = re.compile(r"\s*").match(text, start)
        assert first is not None, "the pattern matches the empty string"
        if text[first.end() : first.end() + 1].isalnum():
            message = f"text stands in the {match[1]} before its first \\item"
            yield problem(message, first.end(), "Write \\item before it, or move it above the list.")
