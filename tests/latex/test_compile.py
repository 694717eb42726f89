"""The driver: as few passes as needed, equal bytes, a whole PDF or none, nothing outside the folder touched."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from texlab import compiled, document, make_tree, pdf_pages

from papergen.core.errors import PapergenError
from papergen.latex.bibliography.run import input_in_aux, predicted_input
from papergen.latex.build import driver as room
from papergen.latex.build.auxiliary import meaning
from papergen.latex.build.driver import compile_tree, set_aside
from papergen.latex.build.engine import find_engine
from papergen.latex.build.process import Deadline, TimeLimitError, run
from papergen.latex.build.sandbox import is_available
from papergen.latex.problems import Place, TexError
from papergen.latex.text import Engine
from papergen.latex.tree import SourceTree

PAPER: dict[str, str | bytes] = {
    "main.tex": document(
        "\\section{One}\\label{one}\n\\input{sections/text}\n\\bibliographystyle{plainnat}\n\\bibliography{references}",
        "\\usepackage{natbib}\n\\usepackage{hyperref}\n",
    ),
    "sections/text.tex": "As \\citet{a} says in \\autoref{one}.\n",
    "references.bib": "@misc{a, title={On Tests}, author={Ada Lovelace}, year=1843}\n"
    "@misc{b, title={More}, author={Bob}, year=1950}\n",
}

pytestmark = pytest.mark.tex


class Steps(list[str]):
    """The steps that a build announced."""

    def __call__(self, text: str) -> None:
        self.append(text.split(" pass")[0])


def build(tree: Path, **options: float) -> tuple[room.Compiled, Steps]:
    steps = Steps()
    output = tree.parent / "paper.pdf"
    done = compile_tree(tree, "main.tex", engine=find_engine("pdflatex"), output=output, progress=steps, **options)  # type: ignore[arg-type]
    return done, steps


def test_only_the_passes_that_are_needed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    assert build(tree)[1] == ["bibtex", "pdflatex", "pdflatex"]
    (tree / "sections/text.tex").write_text("So \\citet{a} says in \\autoref{one}.\n")
    done, steps = build(tree)
    assert steps == ["pdflatex"]
    assert "So Lovelace [1843] says in section 1." in " ".join(pdf_pages(done.pdf)[0].split())
    (tree / "sections/text.tex").write_text("So \\citet{a} and \\citet{b} say.\n")
    assert build(tree)[1] == ["bibtex", "pdflatex", "pdflatex"]
    (tree / "references.bib").write_text(str(PAPER["references.bib"]).replace("1843", "1844"))
    done, steps = build(tree)
    assert steps == ["bibtex", "pdflatex", "pdflatex"]
    assert "1844" in pdf_pages(done.pdf)[0]


UNFORESEEN = {
    "a macro cites": "\\newcommand{\\says}[1]{\\citet{#1}}As \\says{b} and \\citet{a} say.",
    "a macro that nobody uses cites": "\\newcommand{\\unused}{\\citet{b}}As \\citet{a} says.",
    "another order": "\\AtEndDocument{\\nocite{b}}\\nocite{a}As they say.",
}


@pytest.mark.parametrize("text", UNFORESEEN.values(), ids=UNFORESEEN)
def test_a_bibliography_foreseen_wrongly_is_made_again(text: str, tmp_path: Path) -> None:
    main = str(PAPER["main.tex"]).replace("plainnat", "unsrtnat").replace("\\section{One}", "\\section{One}\\nocite{a}")
    files: dict[str, str | bytes] = {**PAPER, "main.tex": main, "sections/text.tex": text}
    tree = make_tree(tmp_path / "tree", files)
    done, steps = build(tree)
    plain = make_tree(tmp_path / "plain", files)
    for command in (["pdflatex", "main"], ["bibtex", "main"], ["pdflatex", "main"], ["pdflatex", "main"]):
        subprocess.run(command, cwd=plain, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    assert pdf_pages(done.pdf) == pdf_pages(plain / "main.pdf")
    if steps.count("bibtex") == 2:
        (tree / "sections/text.tex").write_text(f"Again. {text}")
        assert build(tree)[1] == ["pdflatex"], "what could not be predicted is not tried again"


def test_what_is_foreseen_is_what_the_pass_asks(tmp_path: Path) -> None:
    """Lists, captions, options, comments, verbatim text and files that are taken in, in the order of the text."""
    text = "% \\cite{c}\n\\verb|\\cite{d}| \\citep[see][p.~1]{b,a}"
    text += "\\begin{figure}x\\caption{\\cite{e}}\\end{figure}\\input{more}"
    entries = "".join(f"@misc{{{key}, title={{T}}, author={{{key.upper()}}}, year=1900}}\n" for key in "abcdef")
    files: dict[str, str | bytes] = {"sections/text.tex": text, "more.tex": "\\nocite{f}", "references.bib": entries}
    tree = make_tree(tmp_path / "tree", {**PAPER, **files})
    predicted = predicted_input(SourceTree(tree), "main.tex")
    assert predicted.citations == ("b", "a", "e", "f")
    assert build(tree)[1].count("bibtex") == 1
    assert input_in_aux(tmp_path / ".tree-pdflatex/tex", "main.aux") == predicted


def test_nothing_is_foreseen_for_biblatex(tmp_path: Path) -> None:
    main = "\\usepackage{biblatex}\\cite{a}\\bibliographystyle{plain}\\bibliography{references}"
    assert not predicted_input(SourceTree(make_tree(tmp_path, {"main.tex": main})), "main.tex").is_complete


def test_a_fault_in_a_foreseen_bibliography_is_told_at_its_entry(tmp_path: Path) -> None:
    entry = "@misc{a, title={On \\nosuchcommand}, author={Ada}, year=1843}\n"
    with pytest.raises(TexError, match="nosuchcommand") as caught:
        compiled(tmp_path, {**PAPER, "references.bib": entry})
    assert caught.value.problems[0].place == Place("references.bib", 1)


def test_a_citation_taken_out_leaves_the_bibliography(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    build(tree)
    (tree / "sections/text.tex").write_text("Nobody said it.\n")
    done, _ = build(tree)
    assert "Lovelace" not in pdf_pages(done.pdf)[0]


def test_nothing_runs_when_nothing_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    first, _ = build(tree)
    content = first.pdf.read_bytes()
    stamp = first.pdf.stat().st_mtime_ns

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for path in tree.rglob("*.tex"):
        os.utime(path)
    again, steps = build(tree)
    assert steps == []
    assert again.num_passes == 0
    assert again.pages == first.pages
    assert again.warnings == first.warnings
    assert again.pdf.stat().st_mtime_ns == stamp
    again.pdf.unlink()
    assert build(tree)[0].pdf.read_bytes() == content


def test_a_file_that_tex_never_read_does_not_count(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER | {"sections/unused.tex": "old"})
    build(tree)
    (tree / "sections/unused.tex").write_text("new")
    assert build(tree)[1] == []


@pytest.mark.parametrize("change", ["epoch_s", "main"])
def test_what_else_decides_the_bytes_is_an_input_too(change: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    build(tree)
    if change == "epoch_s":
        assert build(tree, epoch_s=86_400)[1] != []
    else:
        (tree / "hyperref.cfg").write_text("% now found first\n")
        assert build(tree)[1] != []


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = compiled(tmp_path / "a", PAPER).pdf.read_bytes()
    second = compiled(tmp_path / "other place", PAPER).pdf.read_bytes()
    assert first == second


def test_an_edit_and_its_revert_give_the_same_bytes(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    before = build(tree)[0].pdf.read_bytes()
    (tree / "sections/text.tex").write_text("Else \\citet{b}.\n\\section{Two}\\label{two}\n\\autoref{two}\n")
    assert build(tree)[0].pdf.read_bytes() != before
    make_tree(tree, PAPER)
    assert build(tree)[0].pdf.read_bytes() == before


def test_odd_paths(odd_path: Path) -> None:
    files = PAPER | {
        "main.tex": str(PAPER["main.tex"]).replace("sections/text", "sections/my 节"),
        "sections/my 节.tex": PAPER["sections/text.tex"],
    }
    assert compiled(odd_path, files).pages == 1


def test_a_failed_build_sets_the_old_pdf_aside(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    done, _ = build(tree)
    good = done.pdf.read_bytes()
    (tree / "sections/text.tex").write_text("\\undefined \\citet{a}\n")
    for _ in range(2):
        with pytest.raises(TexError):
            build(tree)
        assert not done.pdf.exists()
        assert done.pdf.with_name("paper.previous.pdf").read_bytes() == good
    (tree / "sections/text.tex").write_text("Mended \\citet{a}\n")
    done, steps = build(tree)
    assert steps == ["pdflatex"]
    assert sorted(path.name for path in tmp_path.glob("*.pdf")) == ["paper.pdf"]


def test_set_aside_says_where_the_old_pdf_went(tmp_path: Path) -> None:
    output = tmp_path / "a.pdf"
    assert set_aside(output) is None
    output.write_bytes(b"old")
    assert set_aside(output) == tmp_path / "a.previous.pdf"
    assert not output.exists()


def test_damage_to_the_kept_files_costs_passes_not_correctness(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", PAPER)
    before = build(tree)[0].pdf.read_bytes()
    work = tmp_path / ".tree-pdflatex"
    (work / "state.json").write_text("{ not json")
    (work / "tex/main.aux").write_text("\\broken{")
    assert build(tree)[0].pdf.read_bytes() == before


def test_settled_is_what_tex_reads_alike(tmp_path: Path) -> None:
    def of(*lines: str) -> bytes:
        (tmp_path / "x.aux").write_text("\n".join(lines))
        return meaning(tmp_path / "x.aux")

    a, b, c = "\\bibcite{a}{{1}{}}", "\\bibcite{b}{{2}{}}", "\\newlabel{a}{{1}{6}}"
    line = "\\@writefile{toc}{x}"
    assert of(a, line, b, c) == of(line, c, b, a)
    assert of(a, line, b) != of(a, line, b.replace("2", "3"))
    assert of(line, line + line) != of(line + line, line), "the order of what is printed counts"
    assert of(a, a.replace("1", "2")) != of(a.replace("1", "2"), a), "the last definition of one name counts"
    assert of(a, b.removesuffix("}")) != of(b.removesuffix("}"), a), "a line that goes on in the next has its place"


def test_references_that_never_settle_are_an_error(tmp_path: Path) -> None:
    body = (
        "\\makeatletter\\newcounter{n}\\@ifundefined{r@x}{}{\\setcounter{n}{\\expandafter\\@firstoftwo\\r@x}}"
        "\\stepcounter{n}\\makeatother x\\refstepcounter{n}\\label{x}"
    )
    with pytest.raises(TexError, match="never settle"):
        compiled(tmp_path, {"main.tex": document(body)})


def test_auxiliary_files_of_another_kind_are_forgotten_instead_of_blamed(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"main.tex": document("\\section{A}\\tableofcontents")}
    before = compiled(tmp_path, files).pdf.read_bytes()
    settled = tmp_path / ".tree-pdflatex" / "settled" / "main.toc"
    settled.write_text("\\nosuchcommand{")
    files["main.tex"] = document("\\section{A}\\tableofcontents ")
    assert compiled(tmp_path, files).pdf.read_bytes() == before


# -- what a document may not do ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "\\input{/etc/passwd}",
        "\\newread\\r\\openin\\r=/etc/passwd \\ifeof\\r\\undefinedx\\else\\read\\r to\\x \\x\\fi",
        "\\verbatiminput{/etc/passwd}",
        "\\input{../secret}",
        "\\lstinputlisting{../secret.tex}",
    ],
)
def test_nothing_outside_the_folder_is_read(body: str, tmp_path: Path) -> None:
    (tmp_path / "secret.tex").write_text("Topsecret")
    more = "\\usepackage{verbatim}\n\\usepackage{listings}\n"
    try:
        done = compiled(tmp_path, {"main.tex": document(f"x {body}", more)})
    except TexError:
        return
    text = " ".join(pdf_pages(done.pdf))
    assert "root" not in text
    assert "Topsecret" not in text


LEAKS = [
    ("pdflatex", "\\immediate\\pdfobj stream file {SECRET}\\pdfrefobj\\pdflastobj x"),
    ("pdflatex", "\\edef\\x{\\pdffiledump offset 0 length 40 {SECRET}}(\\x)"),
    ("pdflatex", "x\\pdfximage{SECRET}\\pdfrefximage\\pdflastximage"),
    ("xelatex", "x\\special{pdf:fstream @myobj (SECRET)}\\special{pdf:put @catalog <</Foo @myobj>>}"),
    ("xelatex", "x\\special{pdf:image (SECRET)}"),
    ("xelatex", 'x\\XeTeXpdffile "SECRET" '),
    ("xelatex", "x\\special{psfile=SECRET}"),
]


@pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock; TeX's own settings do not cover these")
@pytest.mark.parametrize(("engine", "body"), LEAKS)
def test_the_kernel_fences_in_what_tex_itself_lets_through(engine: Engine, body: str, tmp_path: Path) -> None:
    secret = compiled(tmp_path / "secret", {"main.tex": document("Topsecret")}).pdf
    try:
        done = compiled(
            tmp_path / "p", {"main.tex": document(body.replace("SECRET", str(secret)), "", engine)}, engine=engine
        )
    except TexError:
        return
    assert "Topsecret" not in " ".join(pdf_pages(done.pdf))
    assert secret.read_bytes()[:2000] not in done.pdf.read_bytes()
    assert done.pdf.stat().st_size < 8000
    assert "25504446" not in " ".join(pdf_pages(done.pdf))


@pytest.mark.skipif(not is_available(), reason="this kernel has no Landlock")
def test_the_fence_is_around_the_program_only(tmp_path: Path) -> None:
    inside, outside = make_tree(tmp_path / "in", {"a": "a"}), make_tree(tmp_path / "out", {"b": "secret"})
    script = f"cat a; cat {outside}/b; echo x > {outside}/c; echo y > d; (exec 3<>/dev/tcp/127.0.0.1/9) 2>/dev/null"
    run(
        ["/bin/sh", "-c", script],
        folder=inside,
        environment={"PATH": "/usr/bin"},
        deadline=Deadline(30),
        terminal=tmp_path / "t",
    )
    said = (tmp_path / "t").read_text()
    assert said.startswith("a")
    assert "secret" not in said
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a", "b", "d", "t"]
    (outside / "c").write_text("this process is still free")


@pytest.mark.parametrize("name", ["/tmp/papergen-evil.tex", "../evil.tex", "../../evil.tex"])
def test_nothing_outside_the_folder_is_written(name: str, tmp_path: Path) -> None:
    body = f"x\\newwrite\\w\\immediate\\openout\\w={name} \\immediate\\write\\w{{evil}}\\immediate\\closeout\\w"
    with pytest.raises(TexError):
        compiled(tmp_path, {"main.tex": document(body)})
    assert not Path("/tmp/papergen-evil.tex").exists()
    assert list(tmp_path.rglob("evil.tex")) == []


def test_a_document_cannot_overwrite_the_sources(tmp_path: Path) -> None:
    body = "x\\newwrite\\w\\immediate\\openout\\w=mine.py \\immediate\\write\\w{evil}\\immediate\\closeout\\w"
    done = compiled(tmp_path, {"main.tex": document(body), "mine.py": "print('mine')\n"})
    assert (done.pdf.parent / "tree/mine.py").read_text() == "print('mine')\n"


@pytest.mark.parametrize("body", ["\\immediate\\write18{touch ran}", '\\input{|"touch ran"}', "\\input{|touch ran}"])
def test_no_program_is_run(body: str, tmp_path: Path) -> None:
    with contextlib.suppress(TexError):
        compiled(tmp_path, {"main.tex": document(f"x {body}")})
    assert list(tmp_path.rglob("ran")) == []


def test_configuration_of_other_tools_is_not_executed(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "main.tex": document("x"),
        ".latexmkrc": "system('touch ran');\n",
        "latexmkrc": "system('touch ran');\n",
    }
    compiled(tmp_path, files)
    assert list(tmp_path.rglob("ran")) == []


def test_an_endless_document_is_killed_with_all_it_started(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(TimeLimitError, match="did not finish within 2 s"):
        compiled(tmp_path, {"main.tex": document("\\def\\x{\\x}\\x")}, timeout_s=2)
    assert time.monotonic() - started < 20
    assert not (tmp_path / "paper.pdf").exists()


def test_a_program_that_leaves_children_behind_is_killed_as_a_group(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "sleep 300 & echo $! > child; wait"]
    with pytest.raises(TimeLimitError):
        run(command, folder=tmp_path, environment=dict(os.environ), deadline=Deadline(1), terminal=tmp_path / "t")
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the child is still running")


def test_a_program_cannot_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("papergen.latex.build.process.MAX_FILE_MIB", 1)
    command = ["/bin/sh", "-c", "exec head -c 4000000 /dev/urandom > big"]
    with pytest.raises(PapergenError, match="larger than 1 MiB"):
        run(command, folder=tmp_path, environment=dict(os.environ), deadline=Deadline(30), terminal=tmp_path / "t")
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_variables_of_the_shell_do_not_reach_tex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = make_tree(tmp_path / "elsewhere", {"mystyle.sty": "\\newcommand{\\secret}{Topsecret}\n"})
    monkeypatch.setenv("TEXINPUTS", f"{elsewhere}:")
    with pytest.raises(TexError, match="mystyle"):
        compiled(tmp_path, {"main.tex": document("\\secret", "\\usepackage{mystyle}\n")})
