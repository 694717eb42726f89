"""The tree is exactly the project's text, byte for byte, and the lines of rendered files know where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from texlab import make_tree

from papergen.core.errors import PapergenError
from papergen.latex.problems import Place
from papergen.latex.render import MARK, render_tree
from papergen.latex.text import Tex

PROJECT: dict[str, str | bytes] = {
    "main.tex.j2": "\\title{\\VAR{title}}\n"
    "\\BLOCK{for name in names}\n\\author{\\VAR{name}}\n\\BLOCK{endfor}\n\\input{sections/a}\n",
    "sections/a.tex": b"caf\xc3\xa9 \\VAR{not rendered}\r\n% comment  \n",
    "sections/b.tex.j2": "one\n\nthree \\VAR{table} tail\nfour\n\\#{ gone }\nsix\n",
    "figures/own.pdf": b"%PDF-\x00\xff",
    "references.bib": "@misc{a, title={T}}\n",
    "mine.sty": "\\ProvidesPackage{mine}\n",
    "paper.yaml": "title: T\n",
    "results/run/result.json": "{}",
    "sections/.hidden.tex": "no",
}
CONTEXT = {"title": "A & B", "names": ["X_1", "Y"], "table": Tex("\\begin{tabular}{l}\na\\\\\n\\end{tabular}")}
FILES = {"tables/quality.tex": b"generated\n", "references.bib": b"@misc{a, title={T}}\n@misc{b, title={U}}\n"}


def tree_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARK
    }


def test_the_tree_holds_the_papers_files_and_no_others(odd_path: Path) -> None:
    project = make_tree(odd_path, PROJECT)
    rendered = render_tree(project, project / "build/tex", CONTEXT, FILES)
    assert tree_of(rendered.tree) == {
        "main.tex": b"\\title{A \\& B}\n\\author{X\\_1}\n\\author{Y}\n\\input{sections/a}\n",
        "sections/a.tex": PROJECT["sections/a.tex"],
        "sections/b.tex": b"one\n\nthree \\begin{tabular}{l}\na\\\\\n\\end{tabular} tail\nfour\nsix\n",
        "figures/own.pdf": PROJECT["figures/own.pdf"],
        "mine.sty": b"\\ProvidesPackage{mine}\n",
        **FILES,
    }
    assert rendered.main == "main.tex"
    assert rendered.names == tuple(sorted(tree_of(rendered.tree)))


def test_lines_map_back_to_the_authors(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    origin = render_tree(project, project / "build/tex", CONTEXT, FILES).line_map.origin
    assert [origin(Place("main.tex", line)).line for line in (1, 2, 3, 4)] == [1, 3, 3, 5]
    assert [origin(Place("sections/b.tex", line)).line for line in range(1, 8)] == [1, 2, 3, 3, 3, 4, 6]
    assert origin(Place("sections/b.tex", 6)).file == "sections/b.tex.j2"
    assert origin(Place("sections/a.tex", 2, 5)) == Place("sections/a.tex", 2, 5)
    assert origin(Place("tables/quality.tex", 1)).file == "build/tex/tables/quality.tex"


def test_lines_of_includes_and_macros_map_to_their_own_files(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex.j2": "\\BLOCK{import 'sections/macros.tex.j2' as m}\na\n"
        "\\BLOCK{include 'sections/part.tex.j2'}\nb\n\\VAR{m.row(1)}\n",
        "sections/macros.tex.j2": "\\BLOCK{macro row(x)}\nrow\n\\VAR{x}\n\\BLOCK{endmacro}\n",
        "sections/part.tex.j2": "p\nq\n",
    }
    project = make_tree(tmp_path / "p", files)
    rendered = render_tree(project, project / "build/tex", {}, {})
    assert (rendered.tree / "main.tex").read_text() == "a\np\nq\nb\nrow\n1\n\n"
    table = [rendered.line_map.origin(Place("main.tex", line)) for line in range(1, 7)]
    assert [(place.file.removesuffix(".tex.j2"), place.line) for place in table] == [
        ("main", 2),
        ("sections/part", 1),
        ("sections/part", 2),
        ("main", 4),
        ("sections/macros", 2),
        ("sections/macros", 3),
    ]


def test_only_changed_files_are_written_and_orphans_go(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    tree = render_tree(project, project / "build/tex", CONTEXT, FILES).tree
    stamps = {path: path.stat().st_mtime_ns for path in tree.rglob("*.tex")}
    render_tree(project, tree, CONTEXT, FILES)
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*.tex")} == stamps
    (project / "sections/b.tex.j2").unlink()
    render_tree(project, tree, {**CONTEXT, "title": "New"}, {})
    assert sorted(tree_of(tree)) == ["figures/own.pdf", "main.tex", "mine.sty", "references.bib", "sections/a.tex"]
    assert not (tree / "tables").exists()
    assert tree_of(tree)["references.bib"] == str(PROJECT["references.bib"]).encode()


def test_a_file_can_become_a_folder(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    tree = render_tree(project, project / "build/tex", CONTEXT, {"tables/x": b"file"}).tree
    render_tree(project, tree, CONTEXT, {"tables/x/y.tex": b"inside"})
    assert (tree / "tables/x/y.tex").read_bytes() == b"inside"
    render_tree(project, tree, CONTEXT, {"tables/x": b"file"})
    assert (tree / "tables/x").read_bytes() == b"file"


def test_a_folder_that_papergen_did_not_make_is_not_touched(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    mine = make_tree(tmp_path / "mine", {"thesis.tex": "years of work"})
    for target in (mine, project, tmp_path):
        before = tree_of(tmp_path)
        with pytest.raises(PapergenError):
            render_tree(project, target, CONTEXT, FILES)
        assert tree_of(tmp_path) == before


def test_a_link_in_the_tree_is_not_written_through(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    tree = render_tree(project, project / "build/tex", CONTEXT, FILES).tree
    outside = make_tree(tmp_path / "outside", {"x.tex": "mine"})
    (tree / "sections/a.tex").unlink()
    (tree / "sections/a.tex").symlink_to(outside / "x.tex")
    render_tree(project, tree, CONTEXT, FILES)
    assert (outside / "x.tex").read_text() == "mine"
    assert (tree / "sections/a.tex").read_bytes() == PROJECT["sections/a.tex"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"main.tex": "x"}, "main.tex and main.tex.j2 both exist"),
        ({"tables/quality.tex": "mine"}, "tables/quality.tex: papergen writes a file of this name"),
        ({"sections/a.tex.j2": "x"}, "sections/a.tex exists too"),
    ],
)
def test_a_name_that_comes_from_two_places_is_an_error(
    more: dict[str, str | bytes], words: str, tmp_path: Path
) -> None:
    project = make_tree(tmp_path / "p", PROJECT | more)
    with pytest.raises(PapergenError, match=words):
        render_tree(project, project / "build/tex", CONTEXT, FILES)


def test_a_folder_without_a_paper(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match=r"no main\.tex\.j2"):
        render_tree(tmp_path, tmp_path / "build/tex", {}, {})


def test_faults_of_all_templates_at_once(tmp_path: Path) -> None:
    files = PROJECT | {"sections/b.tex.j2": "\\VAR{nope}", "sections/c.tex.j2": "x\n\\VAR{nope2}"}
    project = make_tree(tmp_path / "p", files)
    with pytest.raises(PapergenError) as caught:
        render_tree(project, project / "build/tex", CONTEXT, FILES)
    assert "sections/b.tex.j2:1" in str(caught.value)
    assert "sections/c.tex.j2:2" in str(caught.value)
    assert not (project / "build").exists()


def test_text_from_data_is_never_a_template(tmp_path: Path) -> None:
    project = make_tree(tmp_path / "p", PROJECT)
    context = {**CONTEXT, "title": r"\VAR{names} \BLOCK{if 1} \input{/etc/passwd}", "names": []}
    tree = render_tree(project, project / "build/tex", context, {}).tree
    first = (tree / "main.tex").read_text().split("\n")[0]
    assert first == (
        r"\title{\textbackslash{}VAR\{names\} \textbackslash{}BLOCK\{if 1\} \textbackslash{}input\{/etc/passwd\}}"
    )
