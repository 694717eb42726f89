"""Every claim of a paper, from prose, phrases and paper.yaml, with what the results say of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.strict_yaml import read_yaml
from papergen.experiment.project import Project
from papergen.latex.macros import is_complete
from papergen.latex.problems import Code, Place, Problem
from papergen.latex.sources import Use, scan
from papergen.latex.tree import SourceTree
from papergen.report.claims import claim as claims
from papergen.report.claims.phrases import assertion_of
from papergen.report.results import NotFinishedError, Results

PAPER = "paper.yaml"


@dataclass(frozen=True, kw_only=True)
class Stated:
    """One claim: where it stands, what it asserts, and the verdict or why there is none."""

    name: str
    """Its name in paper.yaml; empty for one in the prose."""
    words: str
    """The sentence or phrase that is printed."""
    assertion: str
    problem: Problem
    """What is told when it does not hold."""
    verdict: claims.Verdict | None
    """None when it cannot be decided."""

    @property
    def place(self) -> Place:
        """Where the author wrote it."""
        return self.problem.place

    @property
    def holds(self) -> bool:
        """Whether the results support it."""
        return self.verdict is not None and self.verdict.holds


def stated_claims(project: Project, tree: SourceTree, results: Results) -> list[Stated]:
    """The claims of the prose in the order of its files, then those of paper.yaml."""
    found = [("", *_of_use(use), _at(tree, use)) for use in tree.uses("claim", "says") if use.option]
    if project.paper.claims:
        document = read_yaml(project.root / PAPER, PAPER)
        for name, claim in project.paper.claims.items():
            line = int(document.where("claims", name).rpartition(":")[2])
            place = Problem(Code.UNDECIDED_CLAIM, "", Place(PAPER, line), f"{name}: {claim.assertion}")
            found.append((name, claim.text, claim.assertion, "", place))
    family = None
    if project.paper.correction == "paper":
        family = _family(results, [assertion for _, _, assertion, fault, _ in found if not fault])
    return [_judged(results, family, *claim) for claim in found]


def _family(results: Results, assertions: Iterable[str]) -> Mapping[claims.Tested, float]:
    """The corrected p-values of every test that the claims make; what cannot be decided makes none."""
    tests: dict[claims.Tested, float] = {}
    for assertion in assertions:
        with contextlib.suppress(PapergenError):
            tests |= claims.comparisons_of(results, assertion)
    return claims.family_of(tests)


def claimed_uses(project: Project) -> list[Use]:
    r"""The `\result`s and citations in the texts of the claims of paper.yaml."""
    return [use for claim in project.paper.claims.values() for use in scan(claim.text, PAPER)]


def claimed_texts(project: Project) -> Mapping[str, Mapping[str, str]]:
    r"""Key -> format -> TeX for `\claimed{name}`, which is `\result[text]{claim name}`."""
    texts = {name: claim.text for name, claim in project.paper.claims.items() if claim.text}
    return {f"claim {name}": {"text": text} for name, text in texts.items() if is_complete(text)}


def text_problems(project: Project, tree: SourceTree) -> Iterator[Problem]:
    r"""Texts of claims that are no whole LaTeX, and `\claimed` of a name that no claim has."""
    for name, claim in project.paper.claims.items():
        if not is_complete(claim.text):
            message = f"claims: the text of {name} is not complete LaTeX: its braces do not pair, or a % or # is bare"
            yield Problem(Code.CLAIM_TEXT, message, Place(PAPER))
    for use in tree.uses("claimed"):
        claim_of = project.paper.claims.get(use.argument)
        if claim_of is None or not claim_of.text:
            what = "has no text" if claim_of else "is no claim of paper.yaml"
            hint = "Add text: to it." if claim_of else did_you_mean(use.argument, project.paper.claims)
            message = f"\\claimed{{{use.argument}}}: {use.argument} {what}"
            yield replace(_at(tree, use), code=Code.CLAIM_TEXT, message=message, remedy=hint)


def _of_use(use: Use) -> tuple[str, str, str]:
    """Words, assertion, and why there is no assertion."""
    if use.kind == "claim":
        return use.argument, use.option, ""
    try:
        return use.argument, assertion_of(use.argument, use.option), ""
    except PapergenError as error:
        return use.argument, "", str(error)


def _judged(
    results: Results,
    family: Mapping[claims.Tested, float] | None,
    name: str,
    words: str,
    assertion: str,
    fault: str,
    place: Problem,
) -> Stated:
    verdict, problem = None, replace(place, message=fault)
    if not fault:
        try:
            verdict = claims.check(results, assertion, family)
            message = f"the results do not support this claim: {assertion}"
            remedy = "; ".join(verdict.evidence)
            problem = replace(place, code=Code.UNSUPPORTED_CLAIM, message=message, remedy=remedy)
        except PapergenError as error:
            about = f"the claim {assertion} cannot be decided"
            message, shared = f"{about}: {error.message}", error.cause if isinstance(error, NotFinishedError) else ""
            problem = replace(place, message=message, remedy=error.hint or "", about=about, shared=shared)
    return Stated(name=name, words=words, assertion=assertion, problem=problem, verdict=verdict)


def _at(tree: SourceTree, use: Use) -> Problem:
    """What is told of a claim that cannot be decided, before it is known why."""
    return tree.problem(Code.UNDECIDED_CLAIM, "", Place(use.file, use.line, use.column))
