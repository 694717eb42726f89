"""Problems: kept as data, told in full where they are few, together where many share one cause."""

from __future__ import annotations

import json
from dataclasses import replace

from papergen.latex.problems import WARNINGS, Code, Place, Problem, TexError, grouped_by_cause, summary_of

STALE = Problem(
    Code.NO_RESULT,
    "\\result{a/b/c}: this is stale",
    Place("main.tex", 3, 2),
    remedy="Run `papergen run-exp`.",
    about="\\result{a/b/c}",
    shared="a is stale",
)


def test_a_problem_is_the_same_after_json() -> None:
    assert Problem.from_json(json.loads(json.dumps(STALE.to_json()))) == STALE


def test_only_boxes_and_warnings_of_latex_allow_a_pdf() -> None:
    assert {code for code in Code if not Problem(code, "x").is_error} == WARNINGS
    assert not Problem(Code.OVERFULL, "x").is_error
    assert Problem(Code.TEX, "x").is_error


def test_every_code_has_a_meaning_of_its_own() -> None:
    assert len({code.meaning for code in Code}) == len(Code)
    assert Code.UNDEFINED_REFERENCE.slug == "undefined-reference"


def test_many_of_one_cause_are_one_group_and_few_are_not() -> None:
    other = Problem(Code.TEX, "y")
    assert grouped_by_cause([STALE, other, STALE, STALE]) == [[0], [1], [2], [3]]
    assert grouped_by_cause([STALE, other, STALE, STALE, STALE]) == [[0, 2, 3, 4], [1]]
    claim = replace(STALE, code=Code.UNDECIDED_CLAIM)
    assert grouped_by_cause([STALE, STALE, claim, claim]) == [[0], [1], [2], [3]]


def test_a_group_names_its_cause_a_few_places_and_the_remedy() -> None:
    group = [replace(STALE, about=f"\\result{{a/b/{name}}}") for name in "cdefg"]
    assert summary_of(group).splitlines() == [
        "a is stale: 5 places",
        "    main.tex:3: \\result{a/b/c}",
        "    main.tex:3: \\result{a/b/d}",
        "    main.tex:3: \\result{a/b/e}",
        "    and 2 more",
        "  Run `papergen run-exp`.",
    ]


def test_the_same_fault_at_several_lines_is_told_once() -> None:
    at = [Problem(Code.UNDEFINED_CITATION, "undefined citation x", Place("main.tex", line)) for line in (3, 5)]
    assert "The same at main.tex:5." in str(TexError(at))
