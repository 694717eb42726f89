"""Claims in paper.yaml and in phrases: checked at build, listed with their evidence, printed where they hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checklab import built, examined, said, write
from commands import papergen
from texlab import pdf_pages

from papergen.latex.problems import TexError

CLAIMS = """claims:
  nucleus-wins:
    assert: outperforms(decode/nucleus, [decode/greedy, decode/beam], on=[rep_4, perplexity], level=0.05)
    text: Nucleus sampling repeats \\result{decode/nucleus/rep_4}\\,\\%, the least.
  ratio: decode/greedy/rep_4 / decode/beam/rep_4 > 1.2
"""


@pytest.mark.tex
def test_the_words_of_a_claim_are_printed(paper: Path) -> None:
    write(
        paper, "\\claimed{nucleus-wins} \\says[decode/nucleus, decode/beam, on=[rep_4]]{It beats beam}.\n", yaml=CLAIMS
    )
    assert said(built(paper)) == []
    page = pdf_pages(paper / "build" / f"{paper.name}.pdf")[0]
    assert "Nucleus sampling repeats 12.34 %, the least. It beats beam." in " ".join(page.split())


@pytest.mark.tex
def test_a_claim_of_paper_yaml_that_fails_stops_the_build_at_its_line(paper: Path) -> None:
    write(paper, yaml=CLAIMS.replace("> 1.2", "> 1.5"))
    with pytest.raises(TexError) as caught:
        built(paper)
    assert "paper.yaml:8: the results do not support this claim: decode/greedy/rep_4" in str(caught.value)
    assert "decode/greedy/rep_4 = (41.02 ± 0.73)%, n = 6 prompts" in str(caught.value)


FAULTS = {
    "\\claimed{nucleus-win}": "Did you mean nucleus-wins?",
    "\\claimed{ratio}": "ratio has no text",
    "\\says[decode/beam/rep_4, decode/nucleus/rep_4]{half as many}": "do not support",
    "\\says[decode/beam/rep_4, decode/nucleus/rep_4]{nice}": "nothing that can be checked",
    "\\says[decode/beam/rep_5, decode/nucleus/rep_4]{higher}": "Did you mean rep_4?",
    "\\claim[decode/beam/rep_4 <]{x}": "cannot be decided",
}


@pytest.mark.parametrize("text", FAULTS)
def test_each_fault_is_told_at_its_place(paper: Path, text: str) -> None:
    write(paper, f"\n{text}\n", yaml=CLAIMS)
    found = examined(paper)
    assert said(found) == [("claim", "sections/text.tex:3")]
    assert FAULTS[text] in str(found.standing[0])


def test_the_tests_of_all_claims_are_one_family_when_the_paper_says_so(paper: Path) -> None:
    text = "\\claim[significant(decode/greedy/perplexity, decode/beam/perplexity)]{They differ.}\n"
    write(paper, text, yaml=f"{CLAIMS}correction: paper\n")
    broken = "\\claim[significant(decode/greedy/share, decode/beam/rep_5)]{No.}\n"  # it makes no test
    found = examined(write(paper, broken))
    stated = found.subject.assembly.claims
    assert [claim.holds for claim in stated] == [True, False, True, True]
    evidence = stated[2].verdict.evidence  # type: ignore[union-attr]
    assert "at level 0.05 with Holm's correction over the 5 tests of the paper" in evidence[-1]


def test_a_text_that_is_no_whole_latex_is_refused(paper: Path) -> None:
    write(paper, yaml="claims:\n  half:\n    assert: 1 < 2\n    text: '50% of {it'\n")
    (finding,) = examined(paper).standing
    assert "not complete LaTeX" in finding.problem.message


def test_check_lists_every_claim_with_its_evidence(paper: Path) -> None:
    write(paper, "\n\\claim[decode/greedy/rep_4 > 40]{Greedy repeats.}\n", yaml=CLAIMS)
    done = papergen("check", cwd=paper)
    assert done.returncode == 0, done.stdout
    assert "sections/text.tex:3: claim holds: decode/greedy/rep_4 > 40" in done.stdout
    assert "paper.yaml:5: claim holds: nucleus-wins: outperforms(" in done.stdout
    assert "decode/nucleus/rep_4 = (12.34 ± 0.73)%, n = 6 prompts" in done.stdout
    assert "better in 4 of 4 comparisons at level 0.05 with Holm's correction (needed: 4)" in done.stdout
    claims = json.loads(papergen("check", "--json", cwd=paper).stdout)["claims"]
    assert [claim["name"] for claim in claims] == [None, "nucleus-wins", "ratio"]
    assert all(len(digest) == 64 for claim in claims for digest in claim["digests"])
    assert [claim["holds"] for claim in claims] == [True, True, True]
