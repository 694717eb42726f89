r"""TeX's log read for the author: every error, undefined name, lost character and overfull box, at file and line.

The log must come from a run with `-file-line-error` and max_print_line=10000: TeX breaks its lines after 79 characters
otherwise, in the middle of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from papergen.latex.characters import code_name, is_ideograph
from papergen.latex.log.errors import tex_errors
from papergen.latex.log.explain import explain
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.tree import SourceTree

_BOX = re.compile(
    r"^Overfull \\(?P<box>[hv])box \((?P<size>[\d.]+)pt too (?:wide|high)\) ?"
    r"(?:(?:in paragraph|in alignment) at lines (?P<first>\d+)--\d+|detected at line (?P<line>\d+))?"
)
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


def read_log(log: str, tree: SourceTree) -> list[Problem]:
    """Every problem in a log, errors first, each at the author's place; then overfull boxes and warnings."""
    return [*read_errors(log, tree), *_boxes(log, tree), *_warnings(log)]


def read_errors(log: str, tree: SourceTree) -> list[Problem]:
    """Of the problems in a log, those that forbid a PDF."""
    return [*tex_errors(log, tree), *_undefined(log, tree), *_lost(log, tree)]


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
        code = Code.UNDEFINED_CITATION if what == "citation" else Code.UNDEFINED_REFERENCE
        problem = tree.problem(code, f"undefined {what} {name}", place, cause=cause, remedy=remedy)
        problems.setdefault(what + name, problem)
    for match in _DOUBLE.finditer(log):
        labels = [use for use in tree.uses("label") if use.argument == match["name"]]
        places = [Place(use.file, use.line, use.column) for use in labels] or [Place("")]
        origins = [tree.line_map.origin(place) for place in places[:-1]]
        also = "".join(f"; first at {place.file}:{place.line}" for place in origins[:1])
        message = f"label {match['name']} is defined more than once{also}"
        problems.setdefault(
            message, tree.problem(Code.REPEATED_LABEL, message, places[-1], remedy="Rename one of them.")
        )
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
        where = place or Place("")
        problems[char] = tree.problem(Code.LOST_CHARACTER, message, where, cause=known.cause, remedy=remedy)
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
        problem = tree.problem(Code.OVERFULL, message, where, remedy=remedy if match["box"] == "h" else "")
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
    stack: list[str] = []  # "" for a parenthesis that opens no file of the tree
    closed = ""
    names = sorted(tree.names, key=len, reverse=True)  # the longest first: a.tex begins like a.tex.bak
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
    return [Problem(Code.WARNING, text) for text in texts]
