r"""What can be known before TeX runs: unbalanced braces and environments, names that nothing defines, text that
cannot be printed.

TeX finds these late, one at a time, at the wrong line or not at all; here each has its file, line and column, all at
once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from papergen.core.errors import did_you_mean
from papergen.core.files import not_utf8
from papergen.latex.bibliography.bibtex import parse
from papergen.latex.bibliography.database import undefined_citations
from papergen.latex.build.engine import locate
from papergen.latex.characters import T1, code_name, is_hidden
from papergen.latex.lint.structure import misplaced, unbalanced
from papergen.latex.macros import KEY, RESULTS_FILE
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.sources import Lines, Use, masked
from papergen.latex.text import Engine
from papergen.latex.tree import SourceTree

FIGURE_SUFFIXES = ("", ".pdf", ".png", ".jpg", ".jpeg", ".eps")
MAGIC = {".pdf": b"%PDF-", ".png": b"\x89PNG", ".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8"}
"""How a file of each format begins."""
TYPED = T1 | frozenset("\u00a0\u00ad\u200c\u2010\u2011\u2012\u2015\ufeff\n\t\r")
"""What pdflatex reads when it stands in a source: the T1 characters, spaces, hyphens and harmless marks."""
_PLAIN = re.compile(r"[ -~\n\t\r]*")
"""What every engine reads."""
DECLARING = frozenset(
    ("CJK", "CJKutf8", "alphabeta", "babel", "greek-inputenc", "inputenx", "kotex", "pmboxdraw", "textalpha", "utf8x")
)
"""Packages that declare more characters; with one of them only TeX knows what prints."""


def lint_tree(
    tree: SourceTree, main: str, *, engine: Engine, result_keys: Collection[str] | None = None
) -> list[Problem]:
    r"""Every problem of the files that `main` reads, in reading order.

    `result_keys` are the keys that `\result` may name; None leaves that check to TeX.
    """
    names, missing = reachable(tree, main)
    uses = [use for name in names for use in tree.uses_of(name)]
    problems = [*missing, *_across([one for name in names for one in unbalanced(tree, name)])]
    for name in names:
        problems += [*misplaced(tree, name), *_unprintable(tree, name, engine)]
    problems += [*_figures(tree, uses), *_references(tree, uses, names), *_citations(tree, uses)]
    if result_keys is not None:
        problems += _results(tree, uses, result_keys)
    order = {name: index for index, name in enumerate(names)}
    shown = {tree.line_map.origin(Place(name, 1)).file: index for name, index in order.items()}
    return sorted(problems, key=lambda problem: (shown.get(problem.place.file, len(shown)), problem.place.line))


def _across(problems: list[Problem]) -> list[Problem]:
    r"""The unbalanced of all files, without the \begin of one file whose \end stands in another."""
    opened = Counter(one.about for one in problems if one.code is Code.UNCLOSED_ENVIRONMENT)
    closed = Counter(one.about for one in problems if one.code is Code.STRAY_END and one.about)
    pairs = {name for name in opened if opened[name] == closed[name]}
    return [
        one for one in problems if one.about not in pairs or one.code not in {Code.UNCLOSED_ENVIRONMENT, Code.STRAY_END}
    ]


def _place(use: Use) -> Place:
    return Place(use.file, use.line, use.column)


def reachable(tree: SourceTree, main: str) -> tuple[list[str], list[Problem]]:
    """The files that `main` inputs, in reading order, and the inputs that do not exist."""
    names, missing = [], []
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name in names:
            continue
        names.append(name)
        inner = []
        for use in tree.uses_of(name):
            if use.kind == "input":
                found = next((full for full in (f"{use.argument}.tex", use.argument) if _plain(full) in tree), None)
                if found is None:
                    missing.append(use)
                elif found.endswith(".tex"):
                    inner.append(_plain(found))
        waiting += reversed(inner)
    problems = []
    for use in _not_in_texmf(missing, (".tex", "")):
        known = [name.removesuffix(".tex") for name in tree.tex_names if name.endswith(".tex")]
        message = f"\\{use.command}: there is no file {use.argument}"
        problems.append(tree.problem(Code.MISSING_FILE, message, _place(use), remedy=did_you_mean(use.argument, known)))
    return [name for name in names if name != RESULTS_FILE], problems


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _not_in_texmf(uses: Iterable[Use], suffixes: tuple[str, ...]) -> list[Use]:
    """Those whose file the TeX installation does not bring either (`example-image` of mwe, `glyphtounicode`)."""
    waiting = list(uses)
    if not waiting:
        return []
    found = locate(use.argument + suffix for use in waiting for suffix in suffixes)
    return [use for use in waiting if not any(found[use.argument + suffix] for suffix in suffixes)]


def _figures(tree: SourceTree, uses: list[Use]) -> Iterator[Problem]:
    folders = [""]
    for name in tree.tex_names:
        for match in re.finditer(r"\\graphicspath\s*\{((?:\s*\{[^{}]*\}\s*)+)\}", masked(tree.text(name))):
            folders += [_plain(folder) for folder in re.findall(r"\{([^{}]*)\}", match[1])]
    files = set(tree.names)

    def is_there(name: str) -> bool:
        return any(
            folder + _plain(name).strip('"') + suffix in files for folder in folders for suffix in FIGURE_SUFFIXES
        )

    def damaged(name: str) -> bool:
        begins = [start for suffix, start in MAGIC.items() if name.lower().endswith(suffix)]
        return bool(begins) and name not in tree.line_map.generated and not tree.content(name).startswith(begins[0])

    for use in (use for use in uses if use.kind == "figure"):
        for file in (
            folder + _plain(use.argument).strip('"') + suffix for folder in folders for suffix in FIGURE_SUFFIXES
        ):
            if file in files and damaged(file):
                message = f"the figure {file} is damaged, or of another format than its name says"
                yield tree.problem(Code.DAMAGED_FIGURE, message, _place(use), remedy="Make the figure again.")
                break
    missing = [use for use in uses if use.kind == "figure" and not is_there(use.argument)]
    known = [str(Path(name).with_suffix("")) for name in files if name.endswith(FIGURE_SUFFIXES[1:])]
    for use in _not_in_texmf(missing, FIGURE_SUFFIXES):
        remedy = did_you_mean(use.argument, known)
        yield tree.problem(Code.MISSING_FIGURE, f"there is no figure {use.argument}", _place(use), remedy=remedy)


def _references(tree: SourceTree, uses: list[Use], names: list[str]) -> Iterator[Problem]:
    labels: dict[str, Use] = {}
    for use in (use for use in uses if use.kind == "label"):
        first = labels.setdefault(use.argument, use)
        if first is not use:
            place = tree.line_map.origin(_place(first))
            message = f"label {use.argument} is defined more than once; first at {place.file}:{place.line}"
            yield tree.problem(Code.REPEATED_LABEL, message, _place(use), remedy="Rename one of them.")
    options = {
        match for name in names for match in re.findall(r"\blabel\s*=\s*\{?([^\s,{}\]]+)", masked(tree.text(name)))
    }
    known = set(labels) | options
    if any(re.search(r"\\label\s*\{[^}]*[\\#]", masked(tree.text(name))) for name in names):
        return  # a macro makes labels; TeX will tell
    for use in uses:
        if use.kind == "ref" and use.argument not in known:
            remedy = did_you_mean(use.argument, known) or f"Add \\label{{{use.argument}}} where it belongs."
            yield tree.problem(
                Code.UNDEFINED_REFERENCE, f"undefined reference {use.argument}", _place(use), remedy=remedy
            )


def _citations(tree: SourceTree, uses: list[Use]) -> Iterator[Problem]:
    files = {use.argument.removesuffix(".bib") + ".bib" for use in uses if use.kind == "bibliography"}
    items = {
        key for name in tree.tex_names for key in re.findall(r"\\bibitem(?:\[[^\]]*\])?\{([^{}]+)\}", tree.text(name))
    }
    keys = items | {key for name in files if name in tree for key in parse(tree.text(name), name).keys}
    for use in uses:
        if use.kind == "bibliography" and use.argument.removesuffix(".bib") + ".bib" not in tree:
            known = [name.removesuffix(".bib") for name in tree.names if name.endswith(".bib")]
            message = f"there is no bibliography {use.argument}.bib"
            yield tree.problem(
                Code.MISSING_BIBLIOGRAPHY, message, _place(use), remedy=did_you_mean(use.argument, known)
            )
    has_list = bool(files or items)
    for use, near in undefined_citations(uses, keys):
        remedy = f"Did you mean {near}?" if near else "Add the entry (papergen cite add), or correct the key."
        if not has_list:
            remedy = "The paper has no \\bibliography{references}: put it before \\end{document}."
        yield tree.problem(Code.UNDEFINED_CITATION, f"undefined citation {use.argument}", _place(use), remedy=remedy)


def _results(tree: SourceTree, uses: list[Use], keys: Collection[str]) -> Iterator[Problem]:
    for use in uses:
        if use.kind != "result" or use.argument in keys:
            continue
        if not KEY.fullmatch(use.argument):
            message, remedy = f"\\result needs a key written out, not {use.argument}", "Such as decoding/nucleus/rep_4."
        else:
            message, remedy = f"there is no result {use.argument}", did_you_mean(use.argument, keys)
        yield tree.problem(Code.UNKNOWN_RESULT, message, _place(use), remedy=remedy)


def _unprintable(tree: SourceTree, name: str, engine: Engine) -> Iterator[Problem]:
    text = tree.text(name)
    if _PLAIN.fullmatch(text):
        return
    try:
        tree.content(name).decode("utf-8")
    except UnicodeDecodeError as error:
        line, remedy = not_utf8(tree.content(name), error)
        yield tree.problem(Code.NOT_UTF8, "not UTF-8 text", Place(name, line), remedy=remedy)
        return
    plain = masked(text, comments_only=True)
    if engine == "pdflatex":
        if _declares_more(tree):
            return
        declared = set(re.findall(r"\\newunicodechar\s*\{(.)\}", _all(tree)))
        declared |= {
            chr(int(code, 16)) for code in re.findall(r"\\DeclareUnicodeCharacter\s*\{([0-9A-Fa-f]+)\}", _all(tree))
        }
        known = TYPED | declared
        bad = [match for match in re.finditer(r"[^ -~]", plain) if match[0] not in known]
    else:
        bad = [match for match in re.finditer(r"[^ -~\n\r\t\u200b-\u200f\ufeff]", plain) if is_hidden(match[0])]
    lines, told = Lines(plain), set()
    for match in bad:
        line, column = lines.at(match.start())
        if (match[0], line) in told:
            continue
        told.add((match[0], line))
        shown = code_name(match[0]) if is_hidden(match[0]) else f"{match[0]} ({code_name(match[0])})"
        remedy = "Write it as a LaTeX command, or set engine: xelatex in paper.yaml."
        if is_hidden(match[0]):
            remedy = "Take it out."
        elif unicodedata.combining(match[0]):
            remedy = "Write the letter and its accent as one character (NFC)."
        yield tree.problem(Code.UNPRINTABLE, f"{engine} cannot print {shown}", Place(name, line, column), remedy=remedy)


def _all(tree: SourceTree) -> str:
    return "\n".join(masked(tree.text(name)) for name in tree.tex_names)


def _declares_more(tree: SourceTree) -> bool:
    packages = tree.uses("package")
    encodings = [use.option for use in packages if use.argument == "fontenc"]
    other = any(set(re.split(r"\s*,\s*", option)) - {"T1", "OT1", "TS1", ""} for option in encodings)
    return other or any(use.argument in DECLARING for use in packages)
