r"""TeX's log read for the author: every error, undefined name, lost character and overfull box, at file and line.

The log must come from a run with `-file-line-error` and max_print_line=10000. Where TeX has no line (a file that ended
inside a brace, a missing package), the line is recovered from the words of the message and the sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from papergen.latex.characters import code_name, is_ideograph
from papergen.latex.log.explain import Explanation, explain, explain_undefined
from papergen.latex.log.follow_on import without_followers
from papergen.latex.tree import Place, Problem, SourceTree

_LOCATED = re.compile(r"^(?P<file>[^:\n]*\.[A-Za-z0-9]+):(?P<line>\d+): (?P<message>.*)$")
_BANG = re.compile(r"^!\s?(?:pdfTeX error: )?(?:\S*pdf(?:la)?tex(?= \(file))?(?P<message>.+)$")
_BOX = re.compile(
    r"^Overfull \\(?P<box>[hv])box \((?P<size>[\d.]+)pt too (?:wide|high)\) ?"
    r"(?:(?:in paragraph|in alignment) at lines (?P<first>\d+)--\d+|detected at line (?P<line>\d+))?"
)
_FOLLOWERS = re.compile(r"Emergency stop|==> Fatal error|\(That makes 100 errors")
_UNDEFINED = re.compile(
    r"(?P<what>Citation|Reference) [`'](?P<name>[^']*)'.*? undefined(?: on input line (?P<line>\d+))?"
)
_DOUBLE = re.compile(r"Label `(?P<name>[^']+)' multiply defined")
_LOST = re.compile(
    r"^Missing character: There is no (?P<char>\S+?)(?: \(.*?\))? in font (?P<font>[^\s!]+)", re.MULTILINE
)
_WARNING = re.compile(
    r"^(?:LaTeX|Package (?P<package>\S+)|Class \S+)(?: Font)? Warning: (?P<text>.*(?:\n\(\S+\)\s.*)*)", re.MULTILINE
)
_NOISE = re.compile(
    r"Token not allowed in a PDF string|Rerun|may have changed|There were (?:undefined|multiply)"
    r"|Citation|Reference|Label"
)


@dataclass
class _Error:
    """One error block of the log as TeX wrote it."""

    message: str
    file: str = ""
    line: int = 0
    context: str = ""
    runaway: str = ""


def read_log(log: str, tree: SourceTree) -> list[Problem]:
    """Every problem in a log, errors first, each at the author's place; severity "error", "box" or "warning"."""
    return [*read_errors(log, tree), *_boxes(log, tree), *_warnings(log)]


def read_errors(log: str, tree: SourceTree) -> list[Problem]:
    """Of the problems in a log, those that forbid a PDF."""
    return [*_errors(log, tree), *_undefined(log, tree), *_lost(log, tree)]


def _blocks(log: str) -> Iterator[_Error]:
    """The error blocks; TeX's own follow-ups (emergency stop and the like) only when nothing else was said."""
    lines = log.split("\n")
    runaway, followers, found = "", [], False
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
        follows = bool(_FOLLOWERS.search(block.message))
        _read_context(block, lines[index + 1 : index + 60])
        runaway = ""
        if follows:
            followers.append(block)
        else:
            found = True
            yield block
    if not found and followers:
        yield followers[0]


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


def _errors(log: str, tree: SourceTree) -> list[Problem]:
    problems: dict[tuple[str, int], Problem] = {}
    for block in _blocks(log):
        problem = _problem(block, tree)
        # After the first error on a line, TeX is out of step: what it says next on that line misleads.
        problems.setdefault((problem.place.file, problem.place.line), problem)
    return without_followers(list(problems.values()))


def _problem(block: _Error, tree: SourceTree) -> Problem:
    message = re.sub(r"^(?:LaTeX|Package \S+|Class \S+) Error: ", "", block.message)
    if match := re.match(r"(?:Package \S+ Error: )?([\w-]+) undefined\.?$", message):
        message = f"unknown option {match[1]}"
    explanation = explain(message)
    place = _recovered(block, tree) or Place(block.file, block.line, _column(block, tree))
    if message.startswith("Undefined control sequence"):
        name = (re.findall(r"\\[A-Za-z@]+\s*$", block.context) or [""])[0].strip()
        if name == r"\PapergenUnknownResult" or r"\PapergenUnknownResult" in block.context:
            message = r"\result names a key that no result has"
            explanation = Explanation(
                "", "papergen status lists the keys; papergen build-pdf writes the file of values."
            )
        elif name:
            message = f"Undefined control sequence {name}"
            explanation = explain_undefined(name, set(re.findall(r"\\newcommand\*?\{?\\(\w+)", _all_text(tree))))
    if place.file.endswith(".bbl"):
        from papergen.latex.bibliography.database import entry_place

        if origin := entry_place(tree, place):
            place = origin
            explanation = replace(explanation, cause="The fault is in this entry of the bibliography.")
    return tree.problem("error", message, place, cause=explanation.cause, remedy=explanation.remedy)


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


def _undefined(log: str, tree: SourceTree) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for match in _UNDEFINED.finditer(log):
        what, name, line = match["what"].lower(), match["name"], int(match["line"] or 0)
        uses = [use for use in tree.uses("cite" if what == "citation" else "ref") if use.argument == name]
        uses.sort(key=lambda use: use.line != line)
        place = Place(uses[0].file, uses[0].line, uses[0].column) if uses else Place("")
        cause = "" if uses or not name else "No source names it: the class, a package or a macro builds this name."
        if what == "citation":
            remedy = "Add the entry to references.bib, or correct the key."
        else:
            remedy = f"Add \\label{{{name}}} where it belongs, or correct the name."
        if not name:
            place, name = tree.find(r"\\[A-Za-z]*ref\s*\{\s*\}") or place, "without a name"
        problem = tree.problem("error", f"undefined {what} {name}", place, cause=cause, remedy=remedy)
        problems.setdefault(what + name, problem)
    for match in _DOUBLE.finditer(log):
        labels = [use for use in tree.uses("label") if use.argument == match["name"]]
        places = [Place(use.file, use.line, use.column) for use in labels] or [Place("")]
        origins = [tree.line_map.origin(place) for place in places[:-1]]
        also = "".join(f"; first at {place.file}:{place.line}" for place in origins[:1])
        message = f"label {match['name']} is defined more than once{also}"
        problems.setdefault(message, tree.problem("error", message, places[-1], remedy="Rename one of them."))
    return list(problems.values())


RARE_CHINESE = "Install fonts-noto-cjk, say, and write in preamble.tex: \\setCJKmainfont{Noto Serif CJK SC}."
"""What to do about a character that Fandol lacks, such as those of many names."""


def _lost(log: str, tree: SourceTree) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for match in _LOST.finditer(log):
        char, font = match["char"], match["font"]
        if font == "nullfont" or char in problems:
            continue
        place = tree.find(re.escape(char)) if len(char) == 1 and not char.isascii() else None
        name = f"{char} ({code_name(char)})" if len(char) == 1 else char
        message = f"Missing character: the font {font} has no {name}; it would be lost"
        known = explain("Missing character")
        remedy = RARE_CHINESE if len(char) == 1 and is_ideograph(char) else known.remedy
        problems[char] = tree.problem("error", message, place or Place(""), cause=known.cause, remedy=remedy)
    return list(problems.values())


def _boxes(log: str, tree: SourceTree) -> list[Problem]:
    if "\nOverfull \\" not in log:
        return []
    problems = []
    following = log.split("\n")[1:]
    for (file, closed, line), shown in zip(_with_files(log, tree), [*following, ""], strict=True):
        match = _BOX.match(line)
        if match is None:
            continue
        size = float(match["size"])
        first = int(match["first"] or match["line"] or 0)
        where = Place(_file_of_box([file, closed], first, shown, tree), first)
        what = "text is too wide for the column" if match["box"] == "h" else "a page is too full"
        message = f"{what} by {size:.1f} pt (overfull \\{match['box']}box)"
        remedy = "Rephrase, allow a break (\\-, \\allowbreak), or make the table or formula narrower."
        problem = tree.problem("box", message, where, remedy=remedy if match["box"] == "h" else "")
        problems.append(replace(problem, size_pt=size))
    return problems


def _file_of_box(candidates: list[str], first: int, shown: str, tree: SourceTree) -> str:
    """The file in which a paragraph began: TeX may have left it before the paragraph ended."""
    words = set(re.findall(r"[A-Za-z]{3,}", re.sub(r"\\\S+", "", shown)))

    def fit(file: str) -> tuple[int, bool]:
        source = " ".join(tree.line(file, line) for line in range(first, first + 30))
        is_body = r"\begin{document}" not in source and r"\usepackage" not in source
        return len(words & set(re.findall(r"[A-Za-z]{3,}", source))), is_body and bool(tree.line(file, first).strip())

    return max((file for file in candidates if file), key=fit, default="")


def _with_files(log: str, tree: SourceTree) -> Iterator[tuple[str, str, str]]:
    """Each line of the log with the file TeX was reading and the one it closed last, by the parentheses of the log."""
    stack: list[str] = []
    closed = ""
    names = sorted(tree.names, key=len, reverse=True)
    skipping = False
    for line in log.split("\n"):
        yield next((name for name in reversed(stack) if name), ""), closed, line
        # The text of a box or a message may hold parentheses of its own, up to an empty line.
        skipping = (skipping or bool(_BOX.match(line)) or line.startswith(("Underfull", "l."))) and bool(line.strip())
        if skipping:
            continue
        for match in re.finditer(r"[()]", line):
            if match[0] == ")":
                if stack:
                    closed = stack.pop() or closed
                continue
            rest = line[match.end() :].removeprefix('"').removeprefix("./")
            stack.append(next((name for name in names if rest.startswith(name)), ""))


def _warnings(log: str) -> list[Problem]:
    texts = {
        " ".join(re.sub(r"\n\(\S+\)\s+", " ", match["text"]).split()): None
        for match in _WARNING.finditer(log)
        if not _NOISE.search(match["text"])
    }
    return [Problem("warning", text) for text in texts]
