"""Every format of a result prints in every place of a document, and the tree compiles without papergen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from checklab import built, said, write
from texlab import pdf_pages

from papergen.report.formats import FORMATS

pytestmark = pytest.mark.tex

WINS = "wins(decode/nucleus, [decode/greedy], on=[rep_4])"
KEYS = {"word": WINS, "of": WINS}
RATIO = "ratio(decode/greedy/rep_4, decode/beam/rep_4)"
PRINTED = "41.02 41.02 ± 0.73 [40.30, 41.75] 0.69 6 1 41 41.02% +41.02"
"""What `plain_uses` prints."""
PLACES = (
    "\\tableofcontents\\listoffigures\\section{Of %s}",
    "Text.\\footnote{Of %s.}",
    "\\begin{figure}[h]\\caption{Of %s}\\label{fig:a}\\end{figure}\\ref{fig:a}",
    "\\begin{tabular}{l}Of %s\\\\\\end{tabular}",
    "$x = \\mbox{Of %s}$",
    "\\begin{abstract}Of %s.\\end{abstract}",
    "\\begin{itemize}\\item \\emph{Of %s.}\\end{itemize}",
)


def uses() -> list[str]:
    """Every format, and every kind of computed key."""
    names = [name for name in FORMATS if name not in {"percent", "bootstrap"}]  # six prompts have no bootstrap interval
    found = [f"\\result[{name}]{{{KEYS.get(name, 'decode/greedy/rep_4')}}}" for name in names]
    found += ["\\result[percent,1]{decode/greedy/share}", "\\result[2]{decode/greedy/rep_4}"]
    found += [f"\\result[times]{{{RATIO}}}", "\\result[pm,sign]{diff(decode/greedy/rep_4, decode/beam/rep_4)}"]
    found += ["\\result{best(decode, rep_4)}", "\\result{argbest(decode, rep_4)}"]
    return [*found, "\\result{p(decode/greedy/rep_4, decode/beam/rep_4)}"]


def plain_uses() -> str:
    names = ["", "pm", "ci", "sd", "n", "seeds", "int", "unit", "sign"]
    return " ".join(f"\\result[{name}]{{decode/greedy/rep_4}}" for name in names)


def in_words(page: str) -> str:
    return " ".join(page.split())


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_formats_print_in_every_place(paper: Path, engine: str) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"no {engine} on this machine")
    main = paper / "main.tex"
    if engine == "xelatex":
        text = main.read_text(encoding="utf-8").replace("\\usepackage[T1]{fontenc}\n", "\\usepackage{fontspec}\n")
        main.write_text(text.replace("mathptmx,", ""), encoding="utf-8")
    text = "\n\n".join(place.replace("%s", plain_uses()) for place in PLACES)
    write(paper, f"\n{text}\n", yaml=f"engine: {engine}\n")
    assert [check for check, _ in said(built(paper)) if check != "overfull"] == []
    page = in_words(" ".join(pdf_pages(paper / "build" / f"{paper.name}.pdf")))
    assert page.count(f"Of {PRINTED}") == len(PLACES) + 2  # the lists of contents and of figures repeat one each


def test_every_format_compiles_in_titles_captions_and_formulas(paper: Path) -> None:
    main = paper / "main.tex"
    title = "{A Title \\result[pm]{decode/greedy/rep_4}}"
    main.write_text(main.read_text(encoding="utf-8").replace("{A Title}", title), encoding="utf-8")
    for use in uses():
        write(paper, f"\n\\section{{{use}}}\n$1 + {use}$ \\footnote{{{use}}}\n")
    says = "\\says[decode/greedy/rep_4, decode/beam/rep_4]{higher}"
    write(paper, f"\n\\claim[decode/greedy/rep_4 > 1]{{x}}\\section{{A {says} one}}\n")
    assert [check for check, _ in said(built(paper)) if check != "overfull"] == []


def test_bookmarks_hold_the_numbers(paper: Path) -> None:
    from pypdf import PdfReader

    heading = "Greedy \\result[pm]{decode/greedy/rep_4}, \\claim[1 < 2]{low} \\result[sign]{decode/beam/rep_4}"
    write(paper, f"\n\\section{{{heading}}}\n")
    built(paper)
    (bookmark, *_) = PdfReader(paper / "build" / f"{paper.name}.pdf").outline
    assert bookmark.title == "Greedy 41.02 ± 0.73, low +31.42"  # type: ignore[union-attr]


def test_the_tree_compiles_in_an_empty_folder_without_papergen(paper: Path, tmp_path: Path) -> None:
    sentence = "As \\result[pm]{decode/greedy/rep_4}, \\claim[1 < 2]{so}, \\typed{5}"
    write(paper, f"\n{sentence}~\\citep{{fan2018hierarchical}}.\n")
    built(paper)
    tree = next(path.parent for path in (paper / "build").glob("my-paper*/main.tex"))
    empty = tmp_path / "an empty folder 空"
    shutil.copytree(tree, empty)
    for path in empty.rglob("*"):
        if path.is_file():
            assert str(paper).encode() not in path.read_bytes(), f"{path.name} holds a path of this machine"
    latex, environment = ["pdflatex", "-interaction=nonstopmode", "main"], {"PATH": "/usr/bin:/bin", "HOME": "/"}
    for program in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(program, cwd=empty, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    ours = pdf_pages(paper / "build" / f"{paper.name}.pdf")
    assert [in_words(page) for page in pdf_pages(empty / "main.pdf")] == [in_words(page) for page in ours]
