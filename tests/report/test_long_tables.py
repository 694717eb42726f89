"""Long tables: their rows go on over columns and pages, in any class, and inside a box they are a box."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "latex"))
from texlab import compiled, pdf_pages

from papergen.latex.macros import LONGROWS
from papergen.latex.problems import Code
from papergen.latex.text import escape
from papergen.report.tables.long import long_tex
from papergen.report.tables.table import Column, Row, Table

MAIN = (
    "\\documentclass[twocolumn]{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{mathptmx,booktabs,graphicx}\n"
    f"\\makeatletter{LONGROWS}\\makeatother\n\\begin{{document}}\nBODY\n\\end{{document}}\n"
)
COLUMNS = (Column(name="seed", heading="Seed"), Column(name="digest", heading="Digest", align="l"))


def runs(count: int, name: str = "row") -> Table:
    rows = [
        Row(
            name=str(index),
            label=f"{name} {index}",
            cells=(f"s{index}", f"d{index}"),
            group=f"experiment {index // 50}",
        )
        for index in range(count)
    ]
    return Table(name="runs", columns=COLUMNS, rows=tuple(rows), corner="Run", is_long=True)


def page_texts(folder: Path, body: str, table: Table, width_in: float = 3.15) -> tuple[list[str], list[float]]:
    """What stands on each page, and by how many points anything sticks out."""
    files: dict[str, str | bytes] = {"main.tex": MAIN.replace("BODY", body)}
    files["rows.tex"] = str(long_tex(table, escape, width_in=width_in))
    done = compiled(folder, files)
    return pdf_pages(done.pdf), [problem.size_pt for problem in done.warnings if problem.code is Code.OVERFULL]


@pytest.mark.tex
def test_500_rows_go_on_over_columns_and_pages(tmp_path: Path) -> None:
    body = "Text. \\begin{longrows}{\\caption{All runs.}\\label{t}}\\input{rows}\\end{longrows} See \\ref{t}."
    pages, boxes = page_texts(tmp_path, body, runs(500))
    assert len(pages) == 6
    printed = " ".join(pages).split()
    assert [word for word in printed if re.fullmatch(r"d\d+", word)] == [f"d{index}" for index in range(500)]
    assert boxes == []
    assert "Table 1: All runs." in pages[0]
    assert "See 1." in " ".join(pages[-1].split())


HEAD_AGAIN = "Table 1: (continued) Run Seed Digest"


def in_order(folder: Path) -> str:
    """The words of the PDF in the order in which TeX set them, column after column."""
    done = subprocess.run(["pdftotext", "-raw", str(folder / "paper.pdf"), "-"], capture_output=True, check=True)
    return " ".join(done.stdout.decode("utf-8").split())


@pytest.mark.tex
def test_each_column_begins_with_number_head_and_group(tmp_path: Path) -> None:
    body = "Text. \\begin{longrows}{\\caption{All runs.}}\\input{rows}\\end{longrows}"
    page_texts(tmp_path, body, runs(160))
    first, *others = in_order(tmp_path).split(HEAD_AGAIN)
    assert "Table 1: All runs. Run Seed Digest experiment 0 row 0" in first
    assert len(others) == 3
    # Groups of 50 rows: where one goes on, it is named again.
    for column in others:
        start = int(re.search(r"row (\d+)", column)[1])  # type: ignore[index]
        assert column.strip().startswith(f"experiment {start // 50} (continued) row {start} ")


@pytest.mark.tex
@pytest.mark.parametrize("num_rows", range(46, 66, 2))
def test_no_column_holds_a_head_and_a_row_or_two(num_rows: int, tmp_path: Path) -> None:
    body = "Text. \\begin{longrows}{\\caption{All runs.}}\\input{rows}\\end{longrows} After."
    _, boxes = page_texts(tmp_path, body, runs(num_rows))
    parts = in_order(tmp_path).split(HEAD_AGAIN)
    assert boxes == []
    assert all(len(re.findall(r"\bd\d+", part)) >= 3 for part in parts)


@pytest.mark.tex
def test_without_a_caption_nothing_is_counted(tmp_path: Path) -> None:
    body = "\\begin{longrows}{}\\input{rows}\\end{longrows}\\begin{table}\\caption{Next.}\\end{table}"
    page_texts(tmp_path, body, runs(150))
    text = in_order(tmp_path)
    assert "Table 1: Next." in text
    assert text.count("Run Seed Digest") == 4
    assert "Table 0" not in text


@pytest.mark.tex
def test_a_skeleton_that_has_its_own_longrows_keeps_it(tmp_path: Path) -> None:
    own = "\\newenvironment{longrows}[1]{\\par OWN }{\\par}"
    table = runs(120)
    main = MAIN.replace("\\makeatletter", f"{own}\\makeatletter", 1)
    body = "\\begin{longrows}{\\caption{All runs.}}\\input{rows}\\end{longrows}"
    files: dict[str, str | bytes] = {"main.tex": main.replace("BODY", body)}
    files["rows.tex"] = str(long_tex(table, escape, width_in=3.15))
    text = " ".join(pdf_pages(compiled(tmp_path, files).pdf))
    assert "OWN" in text
    assert "(continued)" not in text
    assert "d119" in text


@pytest.mark.tex
@pytest.mark.parametrize("num_lines", range(40, 56))
def test_no_column_ends_below_a_caption_or_a_heading(num_lines: int, tmp_path: Path) -> None:
    filler = "\\vrule width 0pt\\par\n" * num_lines
    body = f"{filler}\\begin{{longrows}}{{\\caption{{All runs.}}}}\\input{{rows}}\\end{{longrows}}"
    table = runs(3)
    files: dict[str, str | bytes] = {"main.tex": MAIN.replace("BODY", body).replace("[twocolumn]", "")}
    files["rows.tex"] = str(long_tex(table, escape, width_in=3.15))
    pages = [page.split() for page in pdf_pages(compiled(tmp_path, files).pdf)]
    with_caption = next(page for page in pages if "All" in page)
    assert "d0" in with_caption


@pytest.mark.tex
def test_inside_a_box_it_is_a_box(tmp_path: Path) -> None:
    pages, _ = page_texts(tmp_path, "Before \\fbox{\\input{rows}} after.", runs(3))
    assert len(pages) == 1
    assert "d2" in pages[0]


@pytest.mark.tex
def test_a_label_that_is_too_long_has_a_line_of_its_own(tmp_path: Path) -> None:
    name = "a name of a row that does not stand beside the other cells"
    pages, boxes = page_texts(tmp_path, "\\input{rows}", runs(3, name))
    assert boxes == []
    assert re.search(rf"{name} 1\s+s1\s+d1", " ".join(pages[0].split()))


@pytest.mark.tex
def test_text_that_is_too_wide_is_broken_into_lines(tmp_path: Path) -> None:
    value = ", ".join(f"value{index}" for index in range(40))
    column = Column(name="value", heading="Value", align="l")
    table = Table(name="t", columns=(column,), rows=(Row(name="a", label="stop_strings", cells=(value,)),))
    pages, boxes = page_texts(tmp_path, "\\input{rows}", table)
    assert boxes == []
    assert value in " ".join(pages[0].split())
