"""What `papergen check` prints: for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from papergen.latex.problems import Place, grouped_by_cause, summary_of
from papergen.paper.check.base import Finding
from papergen.paper.check.run import Examined
from papergen.paper.claims import Stated


def in_words(examined: Examined) -> str:
    """Every finding at its place, those of one cause at once; then the claims with their evidence, and the count."""
    groups = grouped_by_cause([finding.problem for finding in examined.standing])
    parts = [_said([examined.standing[index] for index in group]) for group in groups]
    parts += [_claim(claim) for claim in examined.subject.assembly.claims]
    parts += [
        f"{_where(finding.problem.place)}: allowed [{finding.check}]: {finding.allowed}"
        for finding in examined.findings
        if finding.allowed
    ]
    if examined.not_run:
        parts.append(f"not examined ({examined.why_not}; papergen build-pdf builds it): {', '.join(examined.not_run)}")
    num_standing, num_allowed = len(examined.standing), len(examined.findings) - len(examined.standing)
    count = f"{num_standing} findings" if num_standing != 1 else "1 finding"
    parts.append(("nothing found" if not num_standing else count) + (f", {num_allowed} allowed" if num_allowed else ""))
    return "\n".join(parts)


def _said(group: Sequence[Finding]) -> str:
    """A finding, or all that share their cause at once."""
    if len(group) == 1:
        return str(group[0])
    first, *rest = summary_of([finding.problem for finding in group]).split("\n")
    return "\n".join([f"{first} [{group[0].check}]", *rest])


def as_record(examined: Examined) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "ok": not examined.standing,
        "findings": [_finding(finding) for finding in examined.findings],
        "claims": [_claim_record(claim) for claim in examined.subject.assembly.claims],
        "not_examined": {"checks": list(examined.not_run), "why": examined.why_not},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    problem = finding.problem
    return {
        "check": finding.check,
        "code": problem.code.slug,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "message": problem.message,
        "excerpt": problem.excerpt.strip(),
        "remedy": problem.remedy,
        "cause": problem.shared or None,
        "can_fix": finding.can_fix,
        "allowed": finding.allowed or None,
    }


def _claim(claim: Stated) -> str:
    """One claim, whether it holds, and the evidence."""
    verdict = claim.verdict
    word = "undecided" if verdict is None else "holds" if verdict.holds else "FAILS"
    name = f"{claim.name}: " if claim.name else ""
    lines = [f"{_where(claim.place)}: claim {word}: {name}{claim.assertion or claim.words}"]
    if verdict is not None:
        lines += [f"    {line}" for line in (*verdict.evidence, *verdict.warnings)]
        lines += [f"    from {', '.join(digest[:12] for digest in verdict.digests)}"] if verdict.digests else []
    return "\n".join(lines)


def _claim_record(claim: Stated) -> dict[str, Any]:
    verdict = claim.verdict
    return {
        "name": claim.name or None,
        "file": claim.place.file,
        "line": claim.place.line,
        "words": claim.words,
        "assertion": claim.assertion,
        "holds": None if verdict is None else verdict.holds,
        "evidence": [] if verdict is None else list(verdict.evidence),
        "warnings": [] if verdict is None else list(verdict.warnings),
        "digests": [] if verdict is None else list(verdict.digests),
        "problem": "" if claim.holds else claim.problem.message,
    }


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}" if place.line else place.file
