r"""The errors in TeX's log, each at the author's place: the blocks that TeX wrote, told once, with cause and remedy.

Where TeX has no line (a file that ended inside a brace, a missing package), the line is recovered from the words of the
message and the sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from papergen.latex.bibliography.database import entry_place
from papergen.latex.log.explain import Explanation, explain, explain_undefined
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.tree import SourceTree

_LOCATED = re.compile(r"^(?P<file>[^:\n]*\.[A-Za-z0-9]+):(?P<line>\d+): (?P<message>.*)$")
_BANG = re.compile(r"^!\s?(?:pdfTeX error: )?(?:\S*pdf(?:la)?tex(?= \(file))?(?P<message>.+)$")
_LAST_WORDS = re.compile(r"Emergency stop|==> Fatal error|\(That makes 100 errors")
"""What TeX says when it gives up because of the error before."""
_REACH = 30
"""Lines below an error within which the same list or formula still misleads TeX."""
_IN_UNDEFINED = re.compile(r"Misplaced alignment tab|Lonely \\item|Something's wrong--perhaps a missing \\item")
_FLOATS = re.compile("Too many unprocessed floats|Output loop")
_AFTER: tuple[tuple[str, str], ...] = (
    (r"You can't use `\\eqno'", r"Missing \$ inserted|Display math should end"),
    (r"Something's wrong--perhaps a missing \\item", r"Something's wrong--perhaps a missing \\item"),
    (r"(?:Missing|Extra) \S+ inserted|Extra \S+|Missing \}", r"\\begin\{\S+\} on input line \d+ ended by"),
)
"""A message, and the one that it may follow a few lines below."""


@dataclass
class _Error:
    """One error block of the log as TeX wrote it."""

    message: str
    file: str = ""
    line: int = 0
    context: str = ""
    runaway: str = ""


def _blocks(log: str) -> Iterator[_Error]:
    """The error blocks; TeX's last words (emergency stop and the like) only when nothing else was said."""
    lines = log.split("\n")
    runaway, last_words, found = "", [], False
    for index, line in enumerate(lines):
        if line.startswith("Runaway ") and index + 1 < len(lines):
            runaway = lines[index + 1]
            continue
        match = _LOCATED.match(line) or _BANG.match(line)
        if match is None:
            continue
        block = _Error(match["message"].strip(), runaway=runaway)
        if match.re is _LOCATED:
            block.file, block.line = match["file"].removeprefix("./"), int(match["line"])
        is_last_word = bool(_LAST_WORDS.search(block.message))
        _read_context(block, lines[index + 1 : index + 60])
        runaway = ""
        if is_last_word:
            last_words.append(block)
        else:
            found = True
            yield block
    if not found and last_words:
        yield last_words[0]


def _read_context(block: _Error, following: list[str]) -> None:
    """Add what TeX wrote below the message: its continuation, and the lines that show where it stopped."""
    continued = True
    for index, line in enumerate(following):
        if line.startswith("***"):
            block.message = line.strip("* ()")
        if _LOCATED.match(line) or line.startswith("! "):
            return
        if part := re.match(r"^\(\S+\)\s{2,}(.*)|^\s{10,}(\S.*)$", line) if continued else None:
            block.message += " " + (part[1] or part[2]).strip()
            continue
        continued = False
        if match := re.match(r"^l\.(\d+) ?(.*)$", line):
            block.line = block.line or int(match[1])
            block.context = block.context or match[2]
            return
        if index == 0:
            block.context = line


def tex_errors(log: str, tree: SourceTree) -> list[Problem]:
    """Every error of a log, without those that only follow from an earlier one."""
    first_of_line: dict[tuple[str, int], Problem] = {}
    for block in _blocks(log):
        problem = _problem(block, tree)
        # After the first error on a line, TeX is out of step: what it says next on that line misleads.
        first_of_line.setdefault((problem.place.file, problem.place.line), problem)
    return _without_follow_on(list(first_of_line.values()))


def _without_follow_on(problems: list[Problem]) -> list[Problem]:
    """Without follow-on errors: TeX reports these only because of an earlier error, and they name the wrong place.

    The messages that are compared are TeX's own.
    """
    kept: list[Problem] = []
    undefined: list[Problem] = []
    for problem in problems:
        message = problem.message
        # A group or formula that is still open at the end of the document was told where it begins.
        if kept and r"\end{document}" in problem.excerpt and re.match(r"Missing [$}]|Missing \\", message):
            continue
        # The \end of an environment that TeX does not know ends the one around it: told at the \begin of that one.
        if any(f"ended by \\end{{{one.about}}}" in message for one in undefined):
            continue
        # In an environment that TeX does not know, every & and \item is an error.
        place = problem.place
        is_inside = any(one.place.file == place.file and one.place.line < place.line for one in undefined)
        if is_inside and _IN_UNDEFINED.match(message):
            continue
        # TeX says once for each float that it has no room for it, and then that the page never ends.
        if _FLOATS.match(message) and any(one.message.startswith("Too many unprocessed floats") for one in kept):
            continue
        if any(_follows(problem, earlier) for earlier in kept):
            continue
        if match := re.match(r"Environment (\S+) undefined", message):
            undefined.append(replace(problem, about=match[1]))
        kept.append(problem)
    return kept


def _follows(problem: Problem, earlier: Problem) -> bool:
    """Whether a message is of a kind that follows from an earlier one so few lines above it."""
    is_near = 0 <= problem.place.line - earlier.place.line <= _REACH
    return (
        earlier.place.file == problem.place.file
        and is_near
        and any(re.match(one, problem.message) and re.search(other, earlier.message) for one, other in _AFTER)
    )


def _problem(block: _Error, tree: SourceTree) -> Problem:
    message = re.sub(r"^(?:LaTeX|Package \S+|Class \S+) Error: ", "", block.message)
    if match := re.match(r"(?:Package \S+ Error: )?([\w-]+) undefined\.?$", message):
        message = f"unknown option {match[1]}"
    code, explanation = Code.TEX, explain(message)
    place = _recovered(block, tree) or Place(block.file, block.line, _column(block, tree))
    if message.startswith("Undefined control sequence"):
        name = (re.findall(r"\\[A-Za-z@]+\s*$", block.context) or [""])[0].strip()
        if r"\PapergenUnknownResult" in block.context:
            code, message = Code.UNKNOWN_RESULT, r"\result names a key that no result has"
            explanation = Explanation(
                "", "papergen status lists the keys; papergen build-pdf writes the file of values."
            )
        elif name:
            message = f"Undefined control sequence {name}"
            explanation = explain_undefined(name, set(re.findall(r"\\newcommand\*?\{?\\(\w+)", _all_text(tree))))
    if place.file.endswith(".bbl") and (origin := entry_place(tree, place)):
        place = origin
        explanation = replace(explanation, cause="The fault is in this entry of the bibliography.")
    return tree.problem(code, message, place, cause=explanation.cause, remedy=explanation.remedy)


def _all_text(tree: SourceTree) -> str:
    return "\n".join(tree.text(name) for name in tree.tex_names)


def _column(block: _Error, tree: SourceTree) -> int:
    """The column of the last character that TeX had read, found by the end of the context in the source line."""
    source = tree.line(block.file, block.line)
    read = block.context.removeprefix("...").rstrip()
    start = source.find(read) if read else -1
    return start + len(read) if start >= 0 else 0


def _recovered(block: _Error, tree: SourceTree) -> Place | None:
    """The true place of an error for which TeX gives none, or a late one."""
    if block.runaway and (place := _start_of(block.runaway, tree)):
        return place
    if block.message.startswith("Missing $") and block.file and not tree.line(block.file, block.line).strip():
        return _formula_above(block, tree)
    if match := re.search(r"\\begin\{(\S+?)\} on input line (\d+)", block.message):
        line, opening = int(match[2]), rf"\begin{{{match[1]}}}"
        names = [block.file, *tree.tex_names]
        if name := next((name for name in names if opening in tree.line(name, line)), None):
            return Place(name, line, tree.line(name, line).index(opening) + 1)
    if match := re.match(
        r"(?:Package keyval Error: )?([\w-]+) undefined\.?$", re.sub(r"^.*Error: ", "", block.message)
    ):
        return tree.find(rf"\[[^\]]*\b{re.escape(match[1])}\b")
    if match := re.search(r"Option clash for package ([\w-]+)", block.message):
        uses = [use for use in tree.uses("package") if use.argument == match[1]]
        return Place(uses[-1].file, uses[-1].line, uses[-1].column) if uses else None
    if match := re.match(r"\s*\(file (?:\./)?([^)]+)\):", block.message):
        uses = [use for use in tree.uses("figure") if match[1] in {use.argument, f"{use.argument}{_suffix(match[1])}"}]
        return Place(uses[0].file, uses[0].line, uses[0].column) if uses else None
    if "no line here to end" in block.message and block.file:
        line = block.line
        while line > 0 and not re.search(r"\\\\|\\newline", tree.line(block.file, line)):
            line -= 1
        return Place(block.file, line) if line else None
    if match := re.search(r"File `([^']+)' not found", block.message):
        stem = re.escape(re.sub(r"\.(?:sty|cls|tex)$", "", match[1]))
        return tree.find(rf"(?<=[{{,])\s*{stem}(?=\s*[,}}]|\.)")
    if "no legal \\end found" in block.message and (name := block.file or _main(tree)):
        return Place(name, tree.text(name).rstrip("\n").count("\n") + 1)
    return None


def _suffix(name: str) -> str:
    return "." + name.rpartition(".")[2]


def _start_of(runaway: str, tree: SourceTree) -> Place | None:
    """Where the text of a runaway argument stands: its first words, fewer when a comment in the source cut them."""
    words = re.findall(r"[^\s{}\\$&#^_%~]+", runaway.split(r"\par")[0])[:6]
    for count in range(len(words), 0, -1):
        if place := tree.find(r"\{[\s{}\\$&#^_%~]*" + r"[\s{}\\$&#^_%~]+".join(map(re.escape, words[:count]))):
            return place
    return None


def _formula_above(block: _Error, tree: SourceTree) -> Place | None:
    """The last line with a $, _, ^ or the beginning of a display above an empty line: there a formula was left open."""
    line = block.line - 1
    while line > 0 and (text := tree.line(block.file, line)).strip():
        if signs := re.findall(r"(?<!\\)[$_^]", text):
            return Place(block.file, line, text.rindex(signs[-1]) + 1)
        if display := re.search(r"\\begin\{(?:equation|align|gather|multline|displaymath|eqnarray)\*?\}|\\\[", text):
            return Place(block.file, line, display.start() + 1)
        line -= 1
    return None


def _main(tree: SourceTree) -> str:
    place = tree.find(r"\\documentclass")
    return place.file if place else ""
