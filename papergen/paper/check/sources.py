"""The LaTeX sources: what stops a build as well, and figures and tables that the text never mentions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from papergen.latex.problems import Code, Problem
from papergen.latex.sources import Lines, masked
from papergen.paper.check.base import Check, Subject, stops_a_build

_FLOAT = re.compile(
    r"\\begin\{(?P<kind>figure|table|algorithm|wrapfigure|sidewaystable|sidewaysfigure)(?P<star>\*?)\}"
    r"(?P<body>.*?)\\end\{(?P=kind)(?P=star)\}",
    re.DOTALL,
)
_LABEL = re.compile(r"\\label\s*\{([^{}]+)\}|\blabel\s*=\s*\{?([^\s,{}\]]+)")
_RANGE = re.compile(r"\\[cC]refrange\*?\s*\{([^{}]+)\}\s*\{([^{}]+)\}")


def _unreferenced(subject: Subject) -> Iterator[Problem]:
    referenced = {use.argument for use in subject.uses("ref")}
    for name in subject.names:
        for match in _RANGE.finditer(masked(subject.tree.text(name))):
            referenced |= {match[1], match[2]}
    for name in subject.names:
        text = masked(subject.tree.text(name))
        lines = Lines(text)
        for match in _FLOAT.finditer(text):
            kind = match["kind"].removeprefix("wrap").removeprefix("sideways")
            labels = [one or other for one, other in _LABEL.findall(match["body"])]
            if any(label in referenced for label in labels):
                continue
            if labels:
                code, message = Code.UNREFERENCED_FLOAT, f"the {kind} {labels[0]} is never referred to"
                remedy = f"Mention it: \\ref{{{labels[0]}}}."
            elif r"\caption" in match["body"] and not re.search(r"\\caption\s*\[\s*\]", match["body"]):
                code, message = Code.UNLABELLED_FLOAT, f"this {kind} has a number and no \\label"
                remedy = "Give it a label and refer to it."
            else:
                continue  # without a caption it has no number to refer to, with an empty short one it goes on another
            yield subject.at(code, message, name, *lines.at(match.start()), remedy=remedy)


CHECKS = (
    stops_a_build("result", "results that are unknown, stale, failed, not yet run, or NaN"),
    stops_a_build("claim", "claims that the results do not support"),
    stops_a_build("declared", "tables and figures of paper.yaml that ask for what there is not"),
    stops_a_build("reference", "undefined references and labels defined twice"),
    stops_a_build("file", "inputs and figures that do not exist"),
    stops_a_build("balance", "braces, environments and formulas that are not closed"),
    stops_a_build("character", "text that the engine cannot print"),
    stops_a_build("citation", "citations that no entry defines"),
    Check(name="unreferenced", looks_for="figures and tables that the text never refers to", find=_unreferenced),
)
