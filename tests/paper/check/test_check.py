"""`papergen check`: each fault is found at its file and line, nothing in a sound paper, and marks are heeded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checklab import BIB, built, examined, said, write
from commands import papergen

from papergen.latex.problems import Code
from papergen.paper.check.run import CHECKS

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_a_sound_paper_has_no_finding(paper: Path) -> None:
    found = examined(paper)
    assert said(found) == []
    assert "font" in found.not_run
    assert found.why_not == "the paper has not been built"


@pytest.mark.tex
def test_a_sound_paper_that_was_built_is_examined_as_a_whole(paper: Path) -> None:
    found = built(paper)
    assert (said(found), found.not_run) == ([], ())
    write(paper, "More.\n")
    assert "older than the paper" in examined(paper).why_not


FAULTS = {
    "unknown key": ("Is \\result{decode/greedy/rep_5} so?", "result"),
    "false claim": ("\\claim[decode/greedy/rep_4 < decode/beam/rep_4]{It is.}", "claim"),
    "undefined reference": ("See \\ref{fig:none}.", "reference"),
    "undefined citation": ("As \\citet{good2021} said.", "citation"),
    "missing input": ("\\input{sections/none}", "file"),
    "missing figure": ("\\includegraphics{figures/none}", "file"),
    "open brace": ("\\textbf{open", "balance"),
    "unprintable": ("Chinese 中.", "character"),
    "unreferenced figure": ("\\begin{figure}\\caption{A}\\label{fig:a}\\end{figure}", "unreferenced"),
    "figure without a label": ("\\begin{figure}\\caption{A}\\end{figure}", "unreferenced"),
    "unreferenced table": ("\\begin{table*}[t]\\caption{A}\\label{tab:a}\\end{table*}", "unreferenced"),
    "typed number": ("Greedy search repeats 41.03\\,\\% of its 4-grams.", "typed-number"),
    "mark without reason": ("% papergen: allow unreferenced", "mark"),
    "mark of no check": ("% papergen: allow unreferencd because", "mark"),
    "mark for nothing": ("Fine. % papergen: allow unreferenced because", "mark"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_the_text_is_found(paper: Path, name: str) -> None:
    text, check = FAULTS[name]
    write(paper, f"\n{text}\n")
    assert said(examined(paper)) == [(check, "sections/text.tex:3")]


BIB_FAULTS = {
    "no comma": ("@misc{x,\n  title = {A}\n  year = 2020\n}\n", ["bib-syntax"]),
    "bare per cent": ("@misc{x, title = {50% of it}}\n", ["bib-syntax", "bib-unused"]),
    "same entry": (BIB, ["bib-syntax"]),
    "same doi": (
        "@misc{x, title={A}, doi={10.1/AB}}\n@misc{y, title={B}, doi={https://doi.org/10.1/ab}}\n",
        ["bib-unused", "bib-duplicate", "bib-unused"],
    ),
    "same title": ("@misc{x, title = {A {G}ood paper}}\n", ["bib-duplicate", "bib-unused"]),
    "missing fields": ("@article{x, title = {Other}, author = {A}}\n", ["bib-field", "bib-unused"]),
    "unused": ("@misc{x, title = {Other}}\n", ["bib-unused"]),
    "unknown type": ("@preprint{x, title = {Other}}\n", ["bib-type", "bib-unused"]),
    "unknown string": ("@misc{x, title = {Other}, month = janury}\n", ["bib-syntax"]),
}


@pytest.mark.parametrize("name", BIB_FAULTS)
def test_each_fault_of_the_bibliography_is_found(paper: Path, name: str) -> None:
    more, checks = BIB_FAULTS[name]
    write(paper, bib=more)
    found = said(examined(paper))
    assert sorted(check for check, _ in found) == sorted(checks)
    assert all(place.startswith("references.bib:") for _, place in found)


def test_a_preprint_that_was_published_is_found(paper: Path) -> None:
    title = "The Curious Case of Neural Text Degeneration"
    write(paper, "\\citet{x}", bib=f"@misc{{x, title={{{title}}}, author={{A}}, note={{arXiv:1904.09751}}}}\n")
    (finding,) = examined(paper).standing
    assert finding.check == "bib-preprint"
    assert "holtzman2020curious" in finding.problem.remedy


def test_a_stale_result_is_found(paper: Path) -> None:
    yaml = paper / "experiments" / "decode.yaml"
    yaml.write_text(yaml.read_text().replace("40.1", "40.2"))
    (finding,) = examined(paper).standing
    assert finding.check == "result"
    assert "stale" in finding.problem.message or "has not been run" in finding.problem.message


def test_what_is_allowed_is_counted_and_does_not_fail(paper: Path) -> None:
    text = "% papergen: allow unreferenced a teaser\n\\begin{figure}\\caption{A}\\end{figure}\n"
    write(paper, text, yaml="allow:\n  bib-unused: shared with other papers\n", bib="@misc{x, title={Other}}\n")
    done = papergen("check", cwd=paper)
    assert done.returncode == 0, done.stdout
    assert "sections/text.tex:3: allowed [unreferenced]: a teaser" in done.stdout
    assert "references.bib:7: allowed [bib-unused]: shared with other papers" in done.stdout
    assert done.stdout.endswith("nothing found, 2 allowed\n")


def test_a_mark_in_the_bibliography_covers_the_entry_below(paper: Path) -> None:
    write(
        paper,
        bib="% papergen: allow bib-unused for the next paper\n@misc{x,\n  title = {Other},\n}\n@misc{y, title={New}}\n",
    )
    assert said(examined(paper)) == [("bib-unused", "references.bib:11")]


def test_exit_code_and_json(paper: Path) -> None:
    write(paper, "\nSee \\ref{fig:none}.\n")
    done = papergen("check", "--json", cwd=paper)
    assert done.returncode == 1
    record = json.loads(done.stdout)
    assert not record["ok"]
    (finding,) = record["findings"]
    assert (finding["check"], finding["file"], finding["line"]) == ("reference", "sections/text.tex", 3)
    assert "font" in record["not_examined"]["checks"]


def test_fix_mends_what_is_safe_and_nothing_else(paper: Path) -> None:
    before = '\n% a comment & more 100%\n@misc{ x ,title="A & B_c" # { 5%}, url={http://a/b_c%20d}}\r\n'
    write(paper, "\\citet{x}\n", bib=before + BIB + "@string{z = {Q & A}}\n")
    done = papergen("check", "--fix", cwd=paper)
    after = (paper / "references.bib").read_bytes().decode()
    expected = before.replace('"A & B_c" # { 5%}', '"A \\& B\\_c" # { 5\\%}')
    assert after == BIB + expected + "@string{z = {Q & A}}\n"
    assert "took out the second good2020" in done.stderr
    assert "escaped 3 signs in the title of x" in done.stderr
    assert done.returncode == 0, done.stdout
    papergen("check", "--fix", cwd=paper)
    assert (paper / "references.bib").read_bytes().decode() == after


@pytest.mark.tex
def test_overfull_boxes_are_found_at_their_line(paper: Path) -> None:
    write(paper, "\n\\noindent\\rule{500pt}{1pt}\n\nMore.\n")
    assert said(built(paper)) == [("overfull", "sections/text.tex:3")]


@pytest.mark.tex
def test_a_coarse_bitmap_is_found_at_its_printed_size(paper: Path) -> None:
    from matplotlib.image import imsave

    (paper / "figures").mkdir()
    imsave(paper / "figures" / "coarse.png", [[[x / 200, y / 200, 0.5] for x in range(200)] for y in range(200)])
    write(paper, "\n\\includegraphics[width=2in]{figures/coarse}\n\n\\includegraphics[width=.5in]{figures/coarse}\n")
    found = built(paper)
    assert [check for check, _ in said(found)] == ["resolution"]
    (finding,) = found.standing
    assert "has 100 dots per inch (200 x 200 pixels at 2.0 inches)" in finding.problem.message


@pytest.mark.tex
def test_type_3_fonts_are_found(paper: Path) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    (paper / "figures").mkdir()
    with mpl.rc_context({"pdf.fonttype": 3}):
        figure = Figure(figsize=(2, 2))
        figure.text(0.5, 0.5, "text")
        figure.savefig(paper / "figures" / "old.pdf")
    write(paper, "\\includegraphics{figures/old}\n")
    (finding,) = built(paper).standing
    assert finding.check == "font"
    assert "Type 3" in finding.problem.message


@pytest.mark.tex
def test_what_names_the_authors_is_found_in_a_blind_paper(paper: Path) -> None:
    main = paper / "main.tex"
    main.write_text(main.read_text().replace("\\title", "\\hypersetup{pdfauthor={Ada Lovelace}}\\title"))
    write(paper, "\nOur previous work is at \\url{https://github.com/ada/engine}.\n\\section*{Acknowledgments}\n")
    write(paper, "See\n\n\\url{https://github.com/huggingface/transformers}.\n")
    assert said(built(paper)) == []
    found = said(examined(paper, is_anonymous=True))
    assert found == [
        ("anonymous-name", "main.tex:5"),
        ("anonymous-thanks", "sections/text.tex:3"),
        ("anonymous-link", "sections/text.tex:3"),
        ("anonymous-thanks", "sections/text.tex:4"),
        ("anonymous-metadata", f"build/{paper.name}.pdf"),
    ]


def test_every_check_is_documented() -> None:
    page = (DOCS / "check.md").read_text(encoding="utf-8")
    for name, check in CHECKS.items():
        assert f"| `{name}` | {check.looks_for} |" in page, f"docs/check.md lacks `{name}`"


def test_every_code_is_documented_and_belongs_to_a_check() -> None:
    page = (DOCS / "check.md").read_text(encoding="utf-8")
    for code in Code:
        told_by = f"`{code.check}`" if code.check else "a build alone"
        assert f"| `{code.slug}` | {told_by} | {code.meaning} |" in page, f"docs/check.md lacks {code.slug}"
        assert code.check in {*CHECKS, "mark", ""}, f"there is no check {code.check} to allow {code.slug} by"
    assert {code.check for code in Code} == {*CHECKS, "mark", ""}


@pytest.mark.tex
def test_a_page_too_many_is_found(paper: Path) -> None:
    write(paper, "\\newpage Second.\n", yaml="page_limit: 1\n")
    found = built(paper)
    assert [check for check, _ in said(found)] == ["page-limit"]
    assert "2 pages, and twocolumn (preprint) takes 1" in str(found.standing[0])


def test_cite_check_is_the_part_about_the_bibliography(paper: Path) -> None:
    write(paper, "\nSee \\ref{fig:none}~\\cite{nobody}.\n", bib="@misc{x, title={Other}}\n")
    done = papergen("cite", "check", "--json", cwd=paper)
    assert done.returncode == 1
    assert [finding["check"] for finding in json.loads(done.stdout)["findings"]] == ["citation", "bib-unused"]


def test_many_results_of_one_stale_experiment_are_told_at_once(paper: Path) -> None:
    write(
        paper,
        "".join(
            f"\\result{{decode/{row}/{metric}}}\n"
            for row in ("greedy", "beam", "nucleus")
            for metric in ("rep_4", "perplexity")
        ),
    )
    kind = paper / "experiments" / "fake.py"
    kind.write_text(kind.read_text(encoding="utf-8").replace("0.37", "0.38"), encoding="utf-8")
    done = papergen("check", cwd=paper)
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if "stale" in line]
    assert told == [
        "decode is stale: it changed since it was run (code: experiments/fake.py changed): 7 places [result]"
    ]
    assert "    sections/text.tex:1: \\result{decode/greedy/rep_4}\n" in done.stdout
    assert "    and 4 more\n  Run `papergen run-exp decode`.\n" in done.stdout
    assert "7 findings" in done.stdout
    record = json.loads(papergen("check", "--json", cwd=paper).stdout)
    stale = [one for one in record["findings"] if one["check"] == "result"]
    assert len(stale) == 7
    assert len({one["cause"] for one in stale}) == 1
    build = papergen("build-pdf", cwd=paper)
    assert "7 problems in the paper" in build.stderr or "7 places" in build.stderr
    assert len(build.stderr.splitlines()) < 10


def test_three_stale_results_are_told_each(paper: Path) -> None:
    write(paper, "\\result{decode/beam/rep_4} \\result{decode/nucleus/rep_4}\n")
    kind = paper / "experiments" / "fake.py"
    kind.write_text(kind.read_text(encoding="utf-8").replace("0.37", "0.38"), encoding="utf-8")
    assert papergen("check", cwd=paper).stdout.count("this is stale") == 3


def test_the_table_of_runs_without_any_result_says_so(paper: Path) -> None:
    write(paper, "\\input{tables/runs}\n")
    kind = paper / "experiments" / "fake.py"
    kind.write_text(kind.read_text(encoding="utf-8").replace("0.37", "0.38"), encoding="utf-8")
    assert "tables/runs cannot be made: there is no result of the plan as it is. [result]" in papergen(
        "check", cwd=paper
    ).stdout.replace("\n", " ").replace("  ", " ")
