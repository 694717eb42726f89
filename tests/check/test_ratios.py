"""Ratios typed by hand: found where the sentence speaks of the metric and both rows, and left alone elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklab import examined, said, write

from papergen.check.ratios import typed_ratios

# Repetition: greedy is 3.323 times nucleus, beam 23.4 % below greedy. Perplexity: greedy is 3.284 times nucleus.
TYPED = [
    "Greedy search has a repetition 3.3 times that of nucleus sampling.",
    "Greedy repetition is 3.32$\\times$ that of nucleus.",
    "Greedy repeats (repetition) 3.3x as much as nucleus.",
    "A 3.3-fold repetition of greedy over nucleus.",
    "Beam search has a 23\\,\\% lower repetition than greedy search.",
    "Beam search reduces the repetition of greedy search by 23.4 per cent.",
    "The perplexity of greedy search is three times that of nucleus sampling.",
    "The repetition of greedy is 3.4 times that of nucleus.",
    "\\claim[decode/greedy/rep_4 > 1]{Greedy has 3.3 times the repetition of nucleus.}",
]
INNOCENT = [
    "Greedy search and nucleus were run 3.3 times.",
    "The repetition is 3.3 times higher.",
    "Greedy has 5.1 times the repetition of nucleus.",
    "\\says[decode/greedy/rep_4, decode/nucleus/rep_4]{3.3 times} the repetition: greedy over nucleus.",
    "\\claim[ratio(decode/greedy/rep_4, decode/nucleus/rep_4) > 3]{Greedy has 3.3 times the repetition of nucleus.}",
    "Greedy has \\typed{3.3 times} the repetition of nucleus in their paper.",
    "Greedy, nucleus and repetition: $3.3\\times 10^{4}$ and 3.3\\,\\% more.",
    "In a 23\\,\\% share, repetition of beam and greedy.",
    "Nucleus sampling halves the repetition of beam search.",
    "The repetition is 23 percentage points lower for beam than for greedy.",
]


@pytest.mark.parametrize("text", TYPED)
def test_a_typed_ratio_is_found(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    assert said(examined(paper)) == [("typed-ratio", "sections/text.tex:3")]


@pytest.mark.parametrize("text", INNOCENT)
def test_other_ratios_are_left_alone(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    assert "typed-ratio" not in {check for check, _ in said(examined(paper))}


def test_the_ratio_that_it_should_be_is_named(paper: Path) -> None:
    write(paper, "\nBeam search has a 23\\,\\% lower repetition than greedy search.\n")
    (finding,) = examined(paper).standing
    assert "is ratio(decode/beam/rep_4, decode/greedy/rep_4), which is 0.766" in str(finding)
    assert "\\says[decode/beam/rep_4, decode/greedy/rep_4]" in finding.problem.remedy
    write(paper, "\nThe repetition of greedy is 3.4 times that of nucleus.\n")
    assert "is nearly ratio(decode/greedy/rep_4, decode/nucleus/rep_4)" in str(examined(paper).standing[1])


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("1.8x faster", [(1.8,)]),
        ("1.8~times as fast", [(1.8,)]),
        ("doubles the speed", [(2.0,)]),
        ("halved", [(0.5,)]),
        ("a 3-fold gain", [(3.0,)]),
        ("40\\% faster", [(1.4, 0.6)]),
        ("12.5\\,\\% higher", [(1.125,)]),
        ("快 1.8 倍", [(1.8,)]),
        ("降低了 40\\%", [(0.6,)]),
        ("40\\% of them", []),
        ("two-times table of 3 times 4", [(2.0,)]),
    ],
)
def test_ratios_are_read_as_people_write_them(text: str, targets: list[tuple[float, ...]]) -> None:
    assert [tuple(round(one, 6) for one in ratio.targets) for ratio in typed_ratios(text)] == targets
