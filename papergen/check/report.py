"""What `papergen check` prints: for people and as JSON."""

from __future__ import annotations

from typing import Any

from papergen.check.base import Finding
from papergen.check.run import Examined


def in_words(examined: Examined) -> str:
    """Every finding at its file and line, then the claims with their evidence, then the count."""
    parts = [str(finding) for finding in examined.standing]
    parts += [
        f"{_where(finding)}: allowed [{finding.check}]: {finding.allowed}"
        for finding in examined.findings
        if finding.allowed
    ]
    if examined.not_run:
        parts.append(f"not examined ({examined.why_not}; papergen build-pdf builds it): {', '.join(examined.not_run)}")
    num_standing, num_allowed = len(examined.standing), len(examined.findings) - len(examined.standing)
    count = f"{num_standing} findings" if num_standing != 1 else "1 finding"
    parts.append(("nothing found" if not num_standing else count) + (f", {num_allowed} allowed" if num_allowed else ""))
    return "\n".join(parts)


def as_record(examined: Examined) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "ok": not examined.standing,
        "findings": [_finding(finding) for finding in examined.findings],
        "not_examined": {"checks": list(examined.not_run), "why": examined.why_not},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    problem = finding.problem
    return {
        "check": finding.check,
        "file": problem.place.file,
        "line": problem.place.line,
        "column": problem.place.column,
        "message": problem.message,
        "excerpt": problem.excerpt.strip(),
        "remedy": problem.remedy,
        "can_fix": finding.can_fix,
        "allowed": finding.allowed or None,
    }


def _where(finding: Finding) -> str:
    place = finding.problem.place
    return f"{place.file}:{place.line}" if place.line else place.file
