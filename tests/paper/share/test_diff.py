"""Two versions of a paper: which numbers changed and why, where they stand, and the marked PDF."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from commands import papergen
from paperlab import finish, make_paper
from texlab import pdf_pages

from papergen.core.errors import PapergenError
from papergen.experiment.project import open_project
from papergen.latex.sources import sentence_at
from papergen.paper.build import build
from papergen.paper.share.differences import Differences, compare, readable
from papergen.paper.share.versions import digest_in, opened
from papergen.paper.snapshots import kept
from papergen.report.results import NotANumberError

pytestmark = pytest.mark.tex


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    """A finished paper, committed."""
    folder = make_paper(tmp_path / "my paper 论文")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def compared(folder: Path, old: str = "HEAD", new: str = ".") -> Differences:
    scratch = folder.parent / "scratch"
    name = str(folder) if new == "." else new
    with opened(old, folder, scratch / "old") as before, opened(name, folder, scratch / "new") as after:
        return compare(before.snapshot, after.snapshot)


def why(report: Differences) -> dict[str, tuple[str, ...]]:
    return {changed.key: changed.why for changed in report.numbers}


def test_nothing_changed(paper: Path) -> None:
    assert compared(paper).is_empty


def test_a_parameter(paper: Path) -> None:
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 6")
    finish(paper)
    report = compared(paper)
    assert why(report) == {
        "first/large/score": ("config: size 5 -> 6",),
        "diff(first/large/score, first/small/score)": ("config: size 5 -> 6",),
    }
    assert [(sentence.file, sentence.line) for sentence in report.sentences] == [
        ("main.tex.j2", 10),
        ("sections/body.tex", 3),
        ("sections/body.tex", 4),
    ]
    assert report.sentences[1].old.startswith("The large row reaches 10.1 ± 1.6, which 100% of us like")
    assert report.sentences[1].new.startswith("The large row reaches 12.1 ± 1.6, which 100% of us like")


def test_code_seeds_and_libraries(paper: Path) -> None:
    edit(paper / "experiments" / "fake.py", "FACTOR = 2", "FACTOR = 3")
    edit(paper / "experiments" / "first.yaml", "seeds: [0, 1]", "seeds: [0, 1, 2]")
    finish(paper, plus=0.5)
    reasons = why(compared(paper))
    assert reasons["first/large/score"] == ("seed: 0, 1 -> 0, 1, 2", "code: experiments/fake.py changed")


def test_a_claim_that_does_not_hold_any_more(paper: Path) -> None:
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 1")
    finish(paper)
    [claim] = compared(paper).claims
    assert (claim.held, claim.holds, claim.file, claim.line) == (True, False, "sections/body.tex", 4)
    assert claim.claim == "first/large/score > first/small/score"


def test_numbers_that_were_never_run_again_are_those_that_there_were(paper: Path) -> None:
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 6")
    assert compared(paper).is_empty


def test_builds_and_pdfs_are_versions(paper: Path) -> None:
    first = build(open_project(paper), progress=lambda _: None)
    shutil.copy(first.compiled.pdf, paper / "submitted.pdf")
    assert digest_in(paper / "submitted.pdf") == first.digest
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 6")
    finish(paper)
    second = build(open_project(paper), progress=lambda _: None)
    for old in (str(paper / "submitted.pdf"), first.digest[:12]):
        for new in ("build", second.digest[:16], "."):
            assert "first/large/score" in why(compared(paper, old, new))


def test_an_unchanged_build_keeps_no_second_snapshot_and_old_ones_go(
    paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(open_project(paper), progress=lambda _: None)
    build(open_project(paper), progress=lambda _: None)
    assert len(kept(paper)) == 1
    monkeypatch.setattr("papergen.paper.snapshots.MAX_KEPT", 2)
    for word in "abc":
        (paper / "sections" / "more.tex").write_text(f"Word {word}.\n", encoding="utf-8")
        build(open_project(paper), progress=lambda _: None)
    assert len(kept(paper)) == 2


@pytest.mark.parametrize("name", ["v9", "-x", "abcdef0123", "missing.pdf"])
def test_a_version_that_does_not_exist(paper: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(PapergenError, match="no git revision"), opened(name, paper, tmp_path / "scratch"):
        pass


def test_an_error_of_any_class_names_the_version(paper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NotANumberError("first/large/score", "the trial ended with NaN.", hint="Look at its log.")

    monkeypatch.setattr("papergen.paper.share.versions.assemble", fail)
    told = "^HEAD: this version cannot be put together: first/large/score: the trial ended with NaN"
    with pytest.raises(NotANumberError, match=told), opened("HEAD", paper, tmp_path / "scratch"):
        pass


def test_a_foreign_pdf_is_refused(paper: Path, tmp_path: Path) -> None:
    other = make_paper(tmp_path / "other", **{"sections/more.tex": "Other.\n"})
    pdf = build(open_project(other), progress=lambda _: None).compiled.pdf
    with pytest.raises(PapergenError, match="no build of this project"), opened(str(pdf), paper, tmp_path / "scratch"):
        pass


def test_the_command_prints_writes_json_and_says_by_its_code(paper: Path) -> None:
    same = papergen("diff", "--no-pdf", "--exit-code", cwd=paper)
    assert (same.returncode, same.stdout) == (0, "No number, claim, table or figure changed.\n")
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 6")
    finish(paper)
    shown = papergen("diff", "--no-pdf", "--exit-code", cwd=paper)
    assert shown.returncode == 1
    assert "first/large/score                           10.1 -> 12.1\n" in shown.stdout
    data = json.loads(papergen("diff", "HEAD", ".", "--no-pdf", "--json", cwd=paper).stdout)
    assert data["numbers"][0]["why"] == ["config: size 5 -> 6"]


def test_the_marked_pdf_shows_old_and_new(paper: Path) -> None:
    if shutil.which("latexdiff") is None:
        pytest.skip("no latexdiff on this machine")
    edit(paper / "experiments" / "first.yaml", "size: 5", "size: 6")
    edit(paper / "sections" / "more.tex", "Nothing with", "Something \\label{here} with")
    edit(paper / "sections" / "body.tex", "Known \\cite{knuth}.%", "Unknown.")
    edit(paper / "main.tex.j2", "\\bibliographystyle{plain}\n\\bibliography{references}\n", "")
    finish(paper)
    done = papergen("diff", cwd=paper)
    assert done.returncode == 0, done.stderr
    text = " ".join(pdf_pages(Path(done.stdout.splitlines()[-1]))[0].split())
    assert "10.1" in text
    assert "12.1" in text
    assert re.search("Nothing.{0,20}Something", text)


def test_without_latexdiff_the_table_is_printed_and_the_line_to_type(
    paper: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "pdflatex", "kpsewhich", "bibtex", "sh"):
        (programs / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(programs))
    done = papergen("diff", cwd=paper)
    assert done.returncode == 3
    assert "No number" in done.stdout
    assert "apt-get install latexdiff" in done.stderr


def test_the_sentence_around_a_place() -> None:
    text = "One. Two is\n5.3 here, see Fig.~\\ref{a} % no\n or so. Three.\n\n\\section{Four} Five! \\item Six"
    assert sentence_at(text, text.index("5.3")) == "Two is 5.3 here, see Fig.~\\ref{a} or so."
    assert sentence_at(text, text.index("Five")) == "{Four} Five!"
    assert sentence_at(text, text.index("Six")) == "Six"
    assert sentence_at("一。二是5。三", 4) == "二是5。"


def test_tex_is_shown_as_a_person_reads_it() -> None:
    tex = (
        r"\textbf{a} & \papergenminus{}5\,\%\papergenpm{}0.1 \papergenlink{run}{7} \phantom{9}1 {\scriptsize$\pm$ 2} \\"
    )
    assert readable(tex) == "a & −5 % ± 0.1 7 1 ± 2"
