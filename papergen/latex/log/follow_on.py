"""What TeX says only because of an error that it met before: told, it would send the author to the wrong place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from papergen.latex.tree import Problem

REACH = 30
"""Lines below an error within which the same list or formula still misleads TeX."""
_IN_UNKNOWN = re.compile(r"Misplaced alignment tab|Lonely \\item|Something's wrong--perhaps a missing \\item")
_AFTER: tuple[tuple[str, str], ...] = (
    (r"You can't use `\\eqno'", r"Missing \$ inserted|Display math should end"),
    (r"Something's wrong--perhaps a missing \\item", r"Something's wrong--perhaps a missing \\item"),
    (r"(?:Missing|Extra) \S+ inserted|Extra \S+|Missing \}", r"\\begin\{\S+\} on input line \d+ ended by"),
)
"""A message, and the one that it may follow a few lines below."""


def without_followers(problems: Sequence[Problem]) -> list[Problem]:
    """The problems of a log in its order, without those that are no faults of their own."""
    kept: list[Problem] = []
    unknown: list[tuple[str, str, int]] = []
    for problem in problems:
        file, line, message = problem.place.file, problem.place.line, problem.message
        if kept and r"\end{document}" in problem.excerpt and re.match(r"Missing [$}]|Missing \\", message):
            continue
        inside = [name for name, where, start in unknown if where == file and start < line]
        if any(f"ended by \\end{{{name}}}" in message for name in inside) or (inside and _IN_UNKNOWN.match(message)):
            continue
        if any(message.startswith("Too many unprocessed floats") for message in (one.message for one in kept)) and (
            message.startswith(("Too many unprocessed floats", "Output loop"))
        ):
            continue
        if any(_follows(message, file, line, before) for before in kept):
            continue
        if match := re.match(r"Environment (\S+) undefined", message):
            unknown.append((match[1], file, line))
        kept.append(problem)
    return kept


def _follows(message: str, file: str, line: int, before: Problem) -> bool:
    if before.place.file != file or not 0 <= line - before.place.line <= REACH:
        return False
    return any(re.match(one, message) and re.search(other, before.message) for one, other in _AFTER)
