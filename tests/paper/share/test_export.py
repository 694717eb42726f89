"""Archives that compile where they arrive, hold nothing that was not meant for others, and are the same bytes twice."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from paperlab import make_paper, write
from texlab import pdf_pages

from papergen.core.errors import PapergenError, ResultError
from papergen.experiment.project import open_project
from papergen.latex.problems import TexError
from papergen.paper.share import cleaning
from papergen.paper.share.compare_pages import page_differences
from papergen.paper.share.export import Exported, export, write_archive

pytestmark = pytest.mark.tex


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished paper in a folder with spaces and Chinese."""
    return make_paper(tmp_path_factory.mktemp("export") / "my paper 论文")


def exported(folder: Path, kind: str, output: Path | None = None) -> Exported:
    return export(open_project(folder), kind, output, progress=lambda _: None)


def unpacked(path: Path, folder: Path) -> Path:
    shutil.unpack_archive(path, folder, "zip" if path.suffix == ".zip" else "gztar")
    return folder


def test_arxiv_compiles_with_plain_pdflatex_alone(paper: Path, tmp_path: Path) -> None:
    done = exported(paper, "arxiv")
    folder = unpacked(done.path, tmp_path / "empty")
    for _ in range(3):
        said = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "main.tex"], cwd=folder, capture_output=True, check=False
        )
        assert said.returncode == 0, said.stdout.decode(errors="replace")[-2000:]
    assert pdf_pages(folder / "main.pdf") == pdf_pages(paper / "build" / f"{paper.name}.pdf")
    assert {"references.bib", "sections/unused.tex"} < set(done.left_out)
    assert set(done.files) == {"main.tex", "main.bbl", "sections/body.tex", "sections/more.tex"}


def test_arxiv_holds_no_comment_and_no_macro_of_ours(paper: Path, tmp_path: Path) -> None:
    folder = unpacked(exported(paper, "arxiv").path, tmp_path / "empty")
    main, body = ((folder / name).read_text(encoding="utf-8") for name in ("main.tex", "sections/body.tex"))
    assert main.startswith("\\pdfoutput=1\n\\documentclass")
    for secret in ("reviewer 2", "never read", "nobody may see", "A secret", "papergen-results", "\\claim"):
        assert secret not in main + body
    assert "100% of this % stays\n\\result{not/a/key}" in body
    assert "reaches 2.1. %\n" in body
    assert r"100\% of us like, \url{https://example.org/a%20b}." in body


@pytest.mark.parametrize("kind", ["arxiv", "overleaf", "camera-ready", "source"])
def test_the_same_paper_gives_the_same_bytes(paper: Path, tmp_path: Path, kind: str) -> None:
    ending = ".tar.gz" if kind == "arxiv" else ".zip"
    first, second = (exported(paper, kind, tmp_path / f"{name}{ending}").path.read_bytes() for name in "ab")
    assert first == second


def test_overleaf_compiles_with_latexmk(paper: Path, tmp_path: Path) -> None:
    if shutil.which("latexmk") is None:
        pytest.skip("no latexmk on this machine")
    folder = unpacked(exported(paper, "overleaf").path, tmp_path / "empty")
    said = subprocess.run(["latexmk", "-pdf", "-norc", "main.tex"], cwd=folder, capture_output=True, check=False)
    assert said.returncode == 0, said.stdout.decode(errors="replace")[-2000:]
    assert pdf_pages(folder / "main.pdf") == pdf_pages(paper / "build" / f"{paper.name}.pdf")


def test_camera_ready_holds_the_pdf_and_its_sources(paper: Path, tmp_path: Path) -> None:
    folder = unpacked(exported(paper, "camera-ready").path, tmp_path / "empty")
    assert (folder / "source" / "references.bib").is_file()
    assert (folder / "source" / "main.bbl").is_file()
    assert len(list(folder.glob("*.pdf"))) == 1


FOREIGN_FIGURE = b"""%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>> endobj
4 0 obj <</Length 33>> stream
BT /F 12 Tf 9 9 Td (Legend) Tj ET
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R/Size 6>>
"""


def test_camera_ready_refuses_fonts_that_are_not_embedded(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper")
    (folder / "figures").mkdir()
    (folder / "figures" / "foreign.pdf").write_bytes(FOREIGN_FIGURE)
    write(folder, {"sections/more.tex": "\\includegraphics{figures/foreign}\n"})
    with pytest.raises(ResultError, match=r"\[font\] the font Helvetica is not embedded"):
        exported(folder, "camera-ready")
    assert not list((folder / "build").glob("*.zip"))


def test_an_archive_of_a_chinese_name_can_be_sent_anywhere_and_a_wrong_ending_is_told_at_once(paper: Path) -> None:
    assert exported(paper, "overleaf").path.name == "paper-overleaf.zip"
    said: list[str] = []
    with pytest.raises(PapergenError, match="an archive ends in"):
        export(open_project(paper), "arxiv", paper / "x.rar", progress=said.append)
    assert not said  # nothing was built first


def test_camera_ready_names_every_rule_that_is_broken(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper")
    main, yaml = folder / "main.tex.j2", folder / "paper.yaml"
    shy = re.sub(
        r"\\author\{.*\}", r"\\author{Anonymous authors\\\\ Paper under double-blind review}", main.read_text()
    )
    main.write_text(shy.replace("\\bibliographystyle", "\\newpage More.\n\\bibliographystyle"), encoding="utf-8")
    yaml.write_text(yaml.read_text(encoding="utf-8") + "page_limit: 1\n", encoding="utf-8")
    with pytest.raises(ResultError) as caught:
        exported(folder, "camera-ready")
    said = str(caught.value)
    assert "[page-limit] 2 pages, and twocolumn (camera-ready) takes 1" in said
    assert "[author-missing] the author" in said
    assert '[still-blind] the first page still says "Anonymous authors" as for a review' in said
    yaml.write_text(
        yaml.read_text(encoding="utf-8")
        + "allow: {page-limit: agreed with the chair, still-blind: x, author-missing: x}\n",
        encoding="utf-8",
    )
    assert exported(folder, "camera-ready").pages == 2


def test_camera_ready_takes_acknowledgements_and_accents(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper")
    yaml = folder / "paper.yaml"
    yaml.write_text(
        re.sub(r"name: .*", 'name: "Łukasz Öztürk-Núñez"', yaml.read_text(encoding="utf-8")), encoding="utf-8"
    )
    write(folder, {"sections/more.tex": "\\section*{Acknowledgements}\nWe thank https://github.com/someone/here.\n"})
    assert exported(folder, "camera-ready").pages == 1


def test_source_honours_gitignore_and_leaves_build_out(paper: Path, tmp_path: Path) -> None:
    write(paper, {"secret.txt": "a token"})
    folder = unpacked(exported(paper, "source").path, tmp_path / "empty") / "my paper 论文"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"paper.yaml", "main.tex.j2", ".gitignore", "experiments/first.yaml", "sections/body.tex"} <= names
    assert "secret.txt" not in names
    assert not any(name.startswith("build/") for name in names)
    assert len([name for name in names if name.endswith("/result.json")]) == 5
    exported(folder, "arxiv")  # a stranger builds the same paper from it


@pytest.mark.parametrize("kind", ["arxiv", "overleaf", "camera-ready", "source"])
def test_stale_numbers_are_not_exported(tmp_path: Path, kind: str) -> None:
    folder = make_paper(tmp_path / "paper")
    yaml = folder / "experiments" / "first.yaml"
    yaml.write_text(yaml.read_text(encoding="utf-8").replace("size: 5", "size: 6"), encoding="utf-8")
    with pytest.raises(TexError, match="stale"):
        exported(folder, kind)
    assert not list((folder / "build").glob("*.gz"))
    assert not list((folder / "build").glob("*.zip"))


def test_an_export_that_looks_different_is_refused_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_paper(tmp_path / "paper")
    spoil = cleaning.without_comments
    monkeypatch.setattr(cleaning, "without_comments", lambda text, **more: spoil(text, **more).replace("Known", "Kown"))
    with pytest.raises(ResultError, match=r"page 1: .*Kown"):
        exported(folder, "arxiv")
    assert not list((folder / "build").glob("*.gz"))


def test_pages_of_one_text_and_another_look_differ(tmp_path: Path) -> None:
    from texlab import compiled, document

    one = compiled(tmp_path / "one", {"main.tex": document("Text \\rule{1em}{1em}")}).pdf
    two = compiled(tmp_path / "two", {"main.tex": document("Text \\rule{1em}{2em}")}).pdf
    assert page_differences(one, one) == []
    assert page_differences(one, two) == ["page 1: looks different"]


def test_names_that_arxiv_refuses_are_named(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper", **{"sections/über.tex": "Text.\n"})
    write(folder, {"sections/more.tex": "\\input{sections/über}\n"})
    with pytest.raises(PapergenError, match="über"):
        exported(folder, "arxiv")


def test_a_percent_sign_with_a_new_meaning_keeps_the_comments(tmp_path: Path) -> None:
    folder = make_paper(tmp_path / "paper")
    write(folder, {"sections/more.tex": "{\\catcode`\\%=12 100%\n}\n% kept\n"})
    done = exported(folder, "arxiv")
    assert "comments were left in" in done.notes[0]
    with tarfile.open(done.path) as archive:
        member = archive.extractfile("sections/more.tex")
        assert member is not None
        assert member.read() == b"{\\catcode`\\%=12 100%\n}\n% kept\n"


def test_an_archive_holds_names_dates_and_modes_of_no_machine(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"b/ü.txt": b"x", "a": b""})
    with zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes())) as archive:
        assert archive.namelist() == ["a", "b/ü.txt"]
        assert {entry.date_time for entry in archive.infolist()} == {(2024, 1, 1, 0, 0, 0)}
    with pytest.raises(PapergenError, match="ends in"):
        write_archive(tmp_path / "a.rar", {})
