r"""Braces, environments and dollar signs that do not pair, told at the one that opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from papergen.core.errors import nearest
from papergen.latex.sources import Lines, group, masked
from papergen.latex.tree import Place, Problem, SourceTree

_TOKEN = re.compile(r"\\(?P<edge>begin|end)\s*\{(?P<environment>[^{}\\#]*)\}|\\.|(?P<brace>[{}])", re.DOTALL)
_DEFINITION = re.compile(
    r"\\(?:re)?new(?:environment|command)\*?|\\providecommand\*?|\\(?:New|Renew|Provide|Declare)\w*Document\w+"
    r"|\\DeclareRobustCommand\*?|\\[egx]?def(?=\s*\\)|\\AtBeginDocument|\\AtEndDocument|\\lstnewenvironment"
)


def unbalanced(tree: SourceTree, name: str) -> list[Problem]:
    """Every brace, environment and formula of one file that is not closed, or closes nothing."""
    text = masked(tree.text(name))
    lines = Lines(text)
    return [
        tree.problem("error", message, Place(name, *lines.at(offset)), remedy=remedy)
        for offset, message, remedy in sorted([*_pairs(text, lines), *_dollars(text)])
    ]


def _pairs(text: str, lines: Lines) -> Iterator[tuple[int, str, str]]:
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
                yield at, "this } closes nothing", "Remove it, or add the { that it should close."
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
                message = f"\\end{{{environment}}} has no \\begin{{{environment}}}"
                if is_partner:
                    message = f"\\end{{{environment}}} closes \\begin{{{opener}}} of line {lines.at(opened)[0]}"
                    stack.pop()
                yield at, message, f"Correct its name, remove it, or add \\begin{{{environment}}}."
    for opener, at in stack:
        yield _unclosed(opener, at)


def _unclosed(opener: str, at: int) -> tuple[int, str, str]:
    if opener == "{":
        return (
            at,
            "this { is never closed",
            "Add its }. A % hides the rest of its line, a } too: write \\% for the sign.",
        )
    return at, f"\\begin{{{opener}}} is never closed", f"Add \\end{{{opener}}}."


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


def _dollars(text: str) -> Iterator[tuple[int, str, str]]:
    """Paragraphs with an odd number of dollar signs: TeX would read on to the end of the paragraph as a formula."""
    for match in re.finditer(r"(?:[^\n]*\S[^\n]*\n?)+", text):
        signs = [found for found in re.finditer(r"\\.|\$\$?", match[0], re.DOTALL) if found[0][0] == "$"]
        displays = [found.start() for found in signs if found[0] == "$$"]
        dollars = [found.start() for found in signs if found[0] == "$"]
        if not dollars and len(displays) % 2:
            remedy = "Close the formula with $$, and leave no empty line in it."
            yield match.start() + displays[-1], "an odd number of $$ in this paragraph", remedy
        elif len(dollars) % 2:
            remedy = "Add the other $ of the formula, or write \\$ for the sign."
            yield match.start() + dollars[-1], "an odd number of $ in this paragraph", remedy
