"""Figures and tables that the text never mentions, or that nobody can mention."""

from __future__ import annotations

import re
from collections.abc import Iterator

from papergen.latex.sources import Lines, masked
from papergen.latex.tree import Problem
from papergen.paper.check.base import Check, Subject

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
                message, remedy = f"the {kind} {labels[0]} is never referred to", f"Mention it: \\ref{{{labels[0]}}}."
            elif r"\caption" in match["body"] and not re.search(r"\\caption\s*\[\s*\]", match["body"]):
                message, remedy = f"this {kind} has a number and no \\label", "Give it a label and refer to it."
            else:
                continue  # without a caption it has no number to refer to, with an empty short one it goes on another
            yield subject.at(message, name, *lines.at(match.start()), remedy=remedy)


CHECKS = (Check(name="unreferenced", looks_for="figures and tables that the text never refers to", find=_unreferenced),)
