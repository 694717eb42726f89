"""Ratios typed by hand: found where the sentence speaks of the metric and both rows, and left alone elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklab import examined, said, write

from papergen.paper.check.ratios import typed_ratios

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
    "贪心搜索的重复率是核采样的 3.3 倍。",
    "与核采样相比，贪心解码的重复率高出2.3倍。",
    "贪婪搜索的困惑度约为核采样的三倍。",
    "束搜索的重复率比贪心搜索降低了 23\\%。",
    "束搜索使贪心搜索的重复减少了百分之二十三。",
    "束搜索比贪心搜索的重复率低23.4％。",
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
    "贪心搜索和核采样各运行了 3.3 倍的时间。",
    "贪心搜索的重复率是 3.3 倍。",
    "贪心搜索的重复率是核采样的 5.1 倍。",
    "束搜索的重复率比贪心搜索低 23 个百分点。",
    "\\typed{3.3 倍}：文献中贪心搜索与核采样的重复率之比。",
    "束搜索、贪心搜索的重复率：第三倍频程占 23\\%。",
]


@pytest.mark.parametrize("text", TYPED)
def test_a_typed_ratio_is_found(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    found = [one for one in said(examined(paper)) if one[0] != "character"]  # pdfTeX has no Chinese
    assert found == [("typed-ratio", "sections/text.tex:3")]


@pytest.mark.parametrize("text", INNOCENT)
def test_other_ratios_are_left_alone(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    assert "typed-ratio" not in {check for check, _ in said(examined(paper))}


def test_the_ratio_that_it_should_be_is_named(paper: Path) -> None:
    write(paper, "\nBeam search has a 23\\,\\% lower repetition than greedy search.\n")
    (finding,) = examined(paper).standing
    assert "is ratio(decode/beam/rep_4, decode/greedy/rep_4), which is 0.766" in str(finding)
    assert "\\says[decode/beam/rep_4, decode/greedy/rep_4]" in finding.problem.remedy
    write(paper, "\n贪心搜索的重复率是核采样的 3.3 倍。\n")
    (chinese,) = [one for one in examined(paper).standing if "3.3 倍" in one.problem.message]
    assert chinese.problem.remedy == (
        "Write \\result{ratio(decode/greedy/rep_4, decode/nucleus/rep_4)}, or \\typed{3.3 倍}."
    )


def test_a_ratio_that_is_nearly_one_of_two_results(paper: Path) -> None:
    write(paper, "\nThe repetition of greedy is 3.4 times that of nucleus.\n")
    assert "is nearly ratio(decode/greedy/rep_4, decode/nucleus/rep_4)" in str(examined(paper).standing[0])


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
        ("快 1.8 倍", [(1.8, 2.8)]),
        ("是后者的1.8倍", [(1.8,)]),
        ("提高到 1.8 倍", [(1.8,)]),
        ("增加了一倍", [(2.0,)]),
        ("快一点八倍", [(1.8, 2.8)]),
        ("两倍、翻了一番、减少一半", [(2.0,), (2.0,), (0.5,)]),
        ("提高了百分之四十", [(1.4,)]),
        ("下降了百分之12.5", [(0.875,)]),
        ("成倍增长，一倍焦距", []),
        ("降低了 40\\%", [(0.6,)]),
        ("40\\% of them", []),
        ("two-times table of 3 times 4", [(2.0,)]),
    ],
)
def test_ratios_are_read_as_people_write_them(text: str, targets: list[tuple[float, ...]]) -> None:
    assert [tuple(round(one, 6) for one in ratio.targets) for ratio in typed_ratios(text)] == targets
