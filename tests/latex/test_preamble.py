r"""The preamble's format: the bytes of plain runs, the same places of faults, and not used when it would not do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from texlab import document, make_tree

from papergen.latex.build.driver import Compiled, compile_tree
from papergen.latex.build.engine import find_engine, locate
from papergen.latex.build.preamble import Split, left_on_page
from papergen.latex.build.precompile import precompile
from papergen.latex.problems import TexError

PACKAGES = "\\usepackage{microtype,graphicx,xcolor,booktabs,own}\n\\usepackage{natbib}\n\\usepackage{hyperref}\n"
BODY = "\\section{One}\\label{one}\n\\input{sections/text}\n\\bibliographystyle{plainnat}\n\\bibliography{references}"
FILES: dict[str, str | bytes] = {
    "main.tex": document(BODY, PACKAGES),
    "own.sty": "\\newcommand{\\own}{first}\n",
    "sections/text.tex": "\\own: \\textcolor{red}{as} \\citet{a} says in \\autoref{one}.\n",
    "references.bib": "@misc{a, title={On Tests}, author={Ada Lovelace}, year=1843}\n",
}

pytestmark = pytest.mark.tex


def build(tree: Path) -> Compiled:
    return compile_tree(tree, "main.tex", engine=find_engine("pdflatex"), output=tree.parent / "paper.pdf")


def dump(tree: Path) -> bool:
    return precompile(tree, "main.tex", engine=find_engine("pdflatex"), output=tree.parent / "paper.pdf")


def with_format(folder: Path, files: dict[str, str | bytes] = FILES) -> Path:
    """A tree that was built, edited and built, and whose preamble has a format now."""
    tree = make_tree(folder / "tree", files)
    build(tree)
    assert not dump(tree), "one build alone is no reason to dump"
    edit(tree, "then")
    build(tree)
    assert dump(tree)
    return tree


def edit(tree: Path, word: str) -> None:
    path = tree / "sections/text.tex"
    path.write_text(f"{word} \\own, as \\citet{{a}} says in \\autoref{{one}}.\n")


def uses_format(tree: Path) -> bool:
    return "preloaded format=main " in (tree.parent / ".tree-pdflatex/tex/main.log").read_text(errors="replace")


@pytest.mark.parametrize("documentclass", ["article", "IEEEtran"])
def test_same_bytes_with_and_without_the_format(tmp_path: Path, documentclass: str) -> None:
    if locate([f"{documentclass}.cls"])[f"{documentclass}.cls"] is None:
        pytest.skip(f"no {documentclass}.cls on this machine")
    files = {**FILES, "main.tex": str(FILES["main.tex"]).replace("{article}", f"{{{documentclass}}}")}
    tree = with_format(tmp_path, files)
    edit(tree, "now")
    fast = build(tree)
    assert uses_format(tree)
    assert fast.num_passes == 1
    content = fast.pdf.read_bytes()
    shutil.rmtree(tmp_path / ".tree-pdflatex")
    assert build(tree).pdf.read_bytes() == content
    assert not uses_format(tree)


def test_a_fault_in_the_body_is_told_at_its_line(tmp_path: Path) -> None:
    tree = with_format(tmp_path)
    path = tree / "main.tex"
    path.write_text(path.read_text().replace("\\input{sections", "\\nonsense\n\\input{sections"))
    with pytest.raises(TexError) as found:
        build(tree)
    line = path.read_text().split("\n").index("\\nonsense") + 1
    assert f"main.tex:{line}: Undefined control sequence" in str(found.value)


def test_a_changed_package_of_the_tree_is_seen(tmp_path: Path) -> None:
    tree = with_format(tmp_path)
    (tree / "own.sty").write_text("\\newcommand{\\own}{second}\n")
    content = build(tree).pdf.read_bytes()
    assert not uses_format(tree)
    shutil.rmtree(tmp_path / ".tree-pdflatex")
    assert build(tree).pdf.read_bytes() == content


def test_nothing_to_do_is_known_after_a_build_with_the_format(tmp_path: Path) -> None:
    tree = with_format(tmp_path)
    edit(tree, "now")
    assert build(tree).num_passes == 1
    assert build(tree).num_passes == 0
    (tree / "own.sty").write_text("\\newcommand{\\own}{second}\n")
    assert build(tree).num_passes == 1


def test_a_broken_format_is_passed_over(tmp_path: Path) -> None:
    tree = with_format(tmp_path)
    (tmp_path / ".tree-pdflatex/format/papergen-preamble.fmt").write_bytes(b"nonsense")
    edit(tree, "now")
    assert build(tree).num_passes == 1
    assert not uses_format(tree)


def test_a_preamble_that_writes_files_has_no_format(tmp_path: Path) -> None:
    writes = "\\newwrite\\mine\\immediate\\openout\\mine=mine.txt \\immediate\\write\\mine{x}\n"
    tree = make_tree(tmp_path / "tree", {**FILES, "main.tex": document(BODY, PACKAGES + writes)})
    build(tree)
    edit(tree, "then")
    build(tree)
    assert not dump(tree)


def test_only_colours_left_on_the_page_are_said_again() -> None:
    shown = "### vertical mode entered at line 0\n### current page:\n{}\n\nprevdepth 0.0\n\n./main.tex:9: OK.\n"
    colour = "\\pdfcolorstack 0 push {0 g 0 G}"
    assert left_on_page(shown.format(f"\\write-{{}}\n{colour}")) == colour
    assert left_on_page(shown.format("\\special{x}")) is None
    assert left_on_page("") is None


def test_the_body_keeps_its_lines() -> None:
    split = Split.of("\\documentclass{a}\n% \\begin{document}\n\\usepackage{b}\n  \\input{c}\n\\begin{document}\nx\n")
    assert split is None  # a comment that looks like the beginning is not worth a risk
    split = Split.of("\\documentclass{a}\n\\usepackage{b}\n  \\input{c}\n\\begin{document}\nx\n")
    assert split is not None
    assert split.resumed("R").split("\n") == ["R%", "%", "  \\input{c}", "\\begin{document}", "x", ""]
