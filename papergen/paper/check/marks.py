"""How an author says that a finding is right as it is: a mark at the place, or a line in paper.yaml, with a reason.

The corpus has 12.3 million words.  % papergen: typed           another number that happens to be equal
% papergen: allow unreferenced the cover picture needs none     the line below (in a .bib: the entry below)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from papergen.core.errors import did_you_mean
from papergen.latex.problems import Code, Place, Problem
from papergen.paper.check.base import Finding

_MARK = re.compile(r"[%#]\s*papergen:\s*(?P<word>typed|allow)\b[ \t]*(?P<rest>.*)$")


@dataclass(frozen=True)
class Mark:
    """One mark: the check it speaks of, the reason, where it stands and which lines it covers."""

    check: str
    reason: str
    file: str
    line: int
    lines: range


def read_marks(project: Path, files: Iterable[str]) -> list[Mark]:
    """Every mark in these of the author's files."""
    found: list[Mark] = []
    for file in sorted(set(files)):
        path = project / file
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines, 1):
            if (match := _MARK.search(line)) is None:
                continue
            check, _, reason = match["rest"].strip().partition(" ")
            if match["word"] == "typed":
                check, reason = "typed-number", match["rest"].strip() or "typed on purpose"
            stands_alone = not line[: match.start()].strip()
            covered = _below(lines, number, file) if stands_alone else range(number, number + 1)
            found.append(Mark(check, reason.strip(), file, number, covered))
    return found


def _below(lines: Sequence[str], number: int, file: str) -> range:
    """The lines that a mark on a line of its own covers: the next one that is no comment, or the next whole entry."""
    for index in range(number, len(lines)):
        text = lines[index].strip()
        if not text or (text.startswith(("%", "#")) and not file.endswith(".bib")):
            continue
        if file.endswith(".bib"):
            if not text.startswith("@"):
                continue
            end = next((at for at in range(index + 1, len(lines)) if lines[at].startswith("@")), len(lines))
            return range(index + 1, end + 1)
        return range(index + 1, index + 2)
    return range(0)


def apply_marks(
    findings: Sequence[Finding], marks: Sequence[Mark], allowed: Mapping[str, str], checks: Collection[str]
) -> list[Finding]:
    """The findings, those that the author allows with the reason, and the marks that have no effect as findings."""
    marked = []
    for finding in findings:
        place = finding.problem.place
        reason = allowed.get(finding.check, "")
        for mark in marks:
            if mark.check == finding.check and mark.file == place.file and place.line in mark.lines and mark.reason:
                reason = mark.reason
        marked.append(replace(finding, allowed=reason) if reason else finding)
    return [*marked, *_faults(marked, marks, allowed, checks)]


def _faults(
    findings: Sequence[Finding], marks: Sequence[Mark], allowed: Mapping[str, str], checks: Collection[str]
) -> Iterator[Finding]:
    """Marks without effect: of no check, without a reason, or where nothing is found any more."""

    def fault(code: Code, message: str, place: Place, remedy: str) -> Finding:
        return Finding(Problem(code, message, place, remedy=remedy))

    for mark in marks:
        place = Place(mark.file, mark.line)
        is_in_use = any(
            (finding.check, finding.problem.place.file) == (mark.check, mark.file)
            and finding.problem.place.line in mark.lines
            for finding in findings
        )
        if mark.check not in checks:
            yield fault(
                Code.UNKNOWN_CHECK, f"there is no check {mark.check!r}", place, did_you_mean(mark.check, checks)
            )
        elif not mark.reason:
            remedy = "Say why behind the name of the check."
            yield fault(Code.NO_REASON, f"this allows {mark.check} without a reason", place, remedy)
        elif not is_in_use:
            message = f"this allows {mark.check}, and nothing of that kind is here any more"
            yield fault(Code.UNUSED_MARK, message, place, "Take it out.")
    for check, reason in allowed.items():
        place = Place("paper.yaml")
        if check not in checks:
            yield fault(Code.UNKNOWN_CHECK, f"allow: there is no check {check!r}", place, did_you_mean(check, checks))
        elif not reason.strip():
            yield fault(Code.NO_REASON, f"allow: {check} stands without a reason", place, "Say why.")
