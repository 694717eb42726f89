"""Tables and figures of paper.yaml: what they show, where they are split, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklab import built, examined, said, write
from texlab import pdf_pages

from papergen.core.errors import PapergenError
from papergen.report.declared import parse_slice

YAML = """tables:
  main:
    from: decode
    columns: [rep_4, perplexity, share]
    rows: [greedy, beam, nucleus]
    labels: {greedy: Greedy & co}
    headings: {perplexity: PPL}
    groups: {rep_4: Text, perplexity: Text}
    row_groups: {greedy: Search, beam: Search, nucleus: Sampling}
    percent: [share]
    n: true
    against: greedy
    caption: Greedy repeats \\result{decode/greedy/rep_4}\\,\\%.
  sliced: {from: decode, columns: [rep_4, perplexity, share], slice: "[1:, 0::2]", show: mean}
figures:
  bars: {from: decode, y: rep_4, labels: {beam: beam search}}
  cloud: {from: decode, kind: scatter, x: perplexity, y: rep_4, references: [greedy]}
  spread: {from: decode, kind: hist, y: perplexity, width: full}
  own: {function: "plots.py:own"}
"""
PLOTS = """
from papergen.report.figures.figure import Figure, Series
def own(results):
    row = results.rows("decode")[0]
    return Figure(name="any", kind="line", series=[Series(label=row, x=[1, 2], y=[1, 2])], x_label="x", y_label="y")
def number(results):
    return 3
"""
TEXT = """\\input{tables/main} See \\autoref{tab:main}. \\input{tables/sliced}

\\includegraphics[width=2in]{figures/bars} \\includegraphics[width=2in]{figures/cloud}

\\includegraphics[width=2in]{figures/spread} \\includegraphics[width=2in]{figures/own}
"""


@pytest.mark.tex
def test_declared_tables_and_figures_are_in_the_paper(paper: Path) -> None:
    (paper / "plots.py").write_text(PLOTS, encoding="utf-8")
    main = paper / "main.tex"
    main.write_text(main.read_text().replace("graphicx,", "graphicx,booktabs,"), encoding="utf-8")
    write(paper, TEXT, yaml=YAML)
    assert [check for check, _ in said(built(paper)) if check != "overfull"] == []
    tables = next((paper / "build").glob("my-paper*/tables"))
    text = (tables / "main.tex").read_text(encoding="utf-8")
    assert "\\begin{table}[t]\n\\centering\\small\n" in text
    assert "$^{*}$: differs from Greedy \\& co at $p < 0.05$ (paired $t$ test" in text
    assert "\\label{tab:main}" in text
    assert "\\multicolumn{2}{c}{Text}" in text
    assert "Greedy \\& co" in text
    assert "\\emph{Sampling}" in text
    assert "\\textbf{12.34}" in text
    assert "$^{*}$" in text
    sliced = (tables / "sliced.tex").read_text(encoding="utf-8")
    assert "Repetition" in sliced
    assert "Perplexity" not in sliced
    assert "greedy" not in sliced
    page = " ".join(" ".join(pdf_pages(paper / "build" / f"{paper.name}.pdf")).split())
    assert "Greedy repeats 41.02 %." in page
    assert "See Table 1." in page


@pytest.mark.tex
def test_a_long_table_goes_on_in_another_float(paper: Path) -> None:
    main = paper / "main.tex"
    main.write_text(main.read_text().replace("graphicx,", "graphicx,booktabs,"), encoding="utf-8")
    table = "tables:\n  long: {from: decode, columns: [rep_4], max_rows: 2, caption: A caption}\n"
    write(paper, "\\input{tables/long} See \\ref{tab:long}.\n", yaml=table)
    assert said(built(paper)) == []
    page = " ".join(" ".join(pdf_pages(paper / "build" / f"{paper.name}.pdf")).split())
    assert "Table 1: A caption " in page
    assert "Table 1: A caption (continued)" in page
    assert page.index("greedy") < page.index("(continued)") < page.index("nucleus")


FAULTS = {
    "tables:\n  a: {from: decode, columns: [rep_5]}": "Did you mean rep_4?",
    "tables:\n  a: {from: decod, columns: [rep_4]}": "Did you mean decode?",
    "tables:\n  a: {from: decode, columns: [rep_4], rows: [gredy]}": "Did you mean greedy?",
    "tables:\n  a: {from: decode, columns: [rep_4], slice: '[1:'}": "is not of the form",
    "tables:\n  a: {from: decode, columns: [rep_4], slice: '[9]'}": "row 9 does not exist",
    "tables:\n  a: {from: decode, columns: [rep_4], headings: {ppl: x}}": "ppl is no column",
    "tables:\n  a: {from: decode, columns: [rep_4], against: beem}": "Did you mean beam?",
    "figures:\n  a: {from: decode, y: rep_5}": "Did you mean rep_4?",
    "figures:\n  a: {from: decode, kind: line, y: loss}": "no series 'loss' was logged",
    "figures:\n  a: {function: 'plots.py:none'}": "there is no such function",
    "figures:\n  a: {function: 'none.py:x'}": "there is no such file",
    "figures:\n  a: {function: 'plots.py:number'}": "gave a int",
}


@pytest.mark.parametrize("yaml", FAULTS)
def test_a_wrong_declaration_is_told_at_its_line(paper: Path, yaml: str) -> None:
    (paper / "plots.py").write_text(PLOTS, encoding="utf-8")
    write(paper, yaml=yaml + "\n")
    found = examined(paper)
    assert said(found) == [("declared", "paper.yaml:5")]
    assert FAULTS[yaml] in str(found.standing[0])


@pytest.mark.parametrize(
    "yaml",
    [
        "figures:\n  a: {from: decode}",
        "figures:\n  a: {y: rep_4}",
        "figures:\n  A b: {from: decode, y: rep_4}",
        "tables:\n  a: {from: decode, columns: []}",
        "tables:\n  a: {from: decode, column: [rep_4]}",
    ],
)
def test_a_malformed_declaration_is_refused_with_its_line(paper: Path, yaml: str) -> None:
    write(paper, yaml=yaml + "\n")
    with pytest.raises(PapergenError, match=r"paper\.yaml:[45]"):
        examined(paper)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1:, 0::2]", (slice(1, None), slice(0, None, 2))),
        ("[:3]", (slice(None, 3), slice(None))),
        ("[-1, [rep_4, 'mauve']]", ([-1], ["rep_4", "mauve"])),
        ("[[0, 2], ::-1]", ([0, 2], slice(None, None, -1))),
    ],
)
def test_slices_are_numpys(text: str, expected: tuple[object, object]) -> None:
    assert parse_slice(text) == expected


@pytest.mark.parametrize("text", ["1:", "[1:2:0]", "[]", "[a:b]", "[1,2,3]", "[::1:2]"])
def test_a_slice_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PapergenError, match="slice"):
        parse_slice(text)
