"""Numbers typed by hand: which are found to be results, and which are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklab import examined, said, write

from papergen.latex.sources import sentence_bounds
from papergen.paper.check.numbers import typed_numbers
from papergen.paper.check.prose import prose_of

# The rows' values: rep_4 is 41.025 (greedy), 31.425 (beam), 12.345 (nucleus); perplexity 82.475, 63.275, 25.115.
TYPED = [
    "Greedy search repeats 41.03\\,\\% of its 4-grams.",
    "Greedy search repeats 41.0\\,\\% of its 4-grams.",
    "greedy repetition: $41.0$ per cent",
    "Nucleus has a perplexity of 25.12.",
    "The perplexity of nucleus is $25.1 \\pm 0.2$.",
    "A repetition of 12\\,\\% with nucleus sampling.",
    "The repetition of nucleus sampling was 12.4\\,\\% and is better.",
    "Greedy repetition is about 0.410 of all.",
    "\\caption{Perplexity of beam search: 63.28}",
    "The perplexity of beam search is 63.9.",
    "Nucleus & 12.3 & repetition \\\\",
    "贪心搜索重复了41.03\\%的四元组。",
    "贪心解码的重复率为百分之 41.0。",
    "核采样的重复率只有百分之十二。",
    "核采样的困惑度为25.1，低于其他策略。",
    "束搜索的困惑度是 63.9。",
    "贪婪搜索的困惑度达到$82.5$。",
]
INNOCENT = [
    "In 2024 we used 64 prompts, 3 seeds and 2 processes.",
    "See Section 12.3, Table 41 and Figure~31.4 of greedy repetition.",
    "A 95\\,\\% interval at $p < 0.05$ for greedy repetition.",
    "Python 3.11.2, version 41.0, and GPT-2 with greedy repetition.",
    "The temperature of the room was 41.0 degrees.",
    "\\vspace{41.0pt}\\hspace*{12.3em}\\includegraphics[width=41.0mm]{x} greedy repetition",
    "\\begin{tabular}{p{41.0mm}}greedy\\end{tabular}",
    "$x_{41.0}$ and $x^{12.3}$ of greedy repetition",
    "Greedy repetition with a level of 40.1, as set.",
    "\\typed{41.03} is the repetition of greedy in their paper.",
    "% greedy repeats 41.03 \\% of its 4-grams",
    "Nothing is said of 12\\,\\% here.",
    "重复率见第 12.3 节、图41.0和表~31.4。",
    "房间的温度是41.0度。",
    "训练共用 4.1 万步。",
    "贪心搜索的重复率取 95\\% 置信区间，2024年测得。",
    "\\typed{41.03}\\% 是文献中贪心搜索的重复率。",
    "It took 3.5k steps and 1,234,567 tokens with $2.5\\times10^{-4}$.",
]


@pytest.mark.parametrize("text", TYPED)
def test_a_typed_result_is_found(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    assert ("typed-number", "sections/text.tex:3") in said(examined(paper))


@pytest.mark.parametrize("text", INNOCENT)
def test_other_numbers_are_left_alone(paper: Path, text: str) -> None:
    write(paper, "\n" + text + "\n")
    assert "typed-number" not in {check for check, _ in said(examined(paper))}


def test_the_key_that_it_should_be_is_named(paper: Path) -> None:
    write(paper, "\nGreedy search repeats 41.03\\,\\% of its 4-grams.\n")
    (finding,) = examined(paper).standing
    assert "is the result decode/greedy/rep_4, which prints 41.0" in str(finding)
    assert "\\result{decode/greedy/rep_4}" in finding.problem.remedy


def test_a_mark_allows_one_line(paper: Path) -> None:
    line = "Greedy repeats 41.03\\,\\% of its 4-grams."
    write(paper, f"\n{line} % papergen: typed theirs, not ours\n\n{line}\n")
    found = examined(paper)
    assert said(found) == [("typed-number", "sections/text.tex:5")]
    assert [finding.allowed for finding in found.findings] == ["theirs, not ours", ""]


@pytest.mark.parametrize(
    ("text", "number", "digits"),
    [
        ("12,345 words", 12345, 5),
        ("12\\,345 words", 12345, 5),
        ("12{,}345.6 words", 12345.6, 6),
        ("3.4k words", 3400, 2),
        ("$1.25\\times 10^{-4}$", 1.25e-4, 3),
        ("1.25e-4", 1.25e-4, 3),
        ("0.0420", 0.0420, 3),
        ("1200", 1200, 2),
        ("-3.25", 3.25, 3),
        ("共1.25万个", 12500, 3),
        ("约 3.2~亿词元", 3.2e8, 2),
        ("3 百万", 3e6, 1),
        ("百分之二十三点四", 23.4, 3),
        ("百分之一百", 100, 1),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, number: float, digits: int) -> None:
    (typed,) = typed_numbers(text)
    assert typed.number == pytest.approx(number)
    assert typed.num_digits == digits


def test_prose_keeps_every_offset() -> None:
    text = "a \\textbf{b 1.5} \\label{x-2.5}\n% 3.5\n$4.5$ \\cite[p. 6.5]{k7}\n"
    prose = prose_of(text)
    assert len(prose) == len(text)
    assert [typed.text for typed in typed_numbers(prose)] == ["1.5", "4.5"]


def test_a_sentence_ends_where_it_ends() -> None:
    text = "First one is 1.5. The second has 2.5 of it. Third."
    start = text.index("2.5")
    assert text[slice(*sentence_bounds(text, start, start + 3))] == "The second has 2.5 of it."
