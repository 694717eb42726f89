"""`papergen cite`: entries by DOI, arXiv and ACL id or pasted, never twice, no other byte touched, never a hang."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import papergen
from fakes import make_project
from registry import serving

from papergen.core.errors import MachineError, PapergenError
from papergen.latex.bibliography.database import read_bib
from papergen.paper.cite.add import add
from papergen.paper.cite.entry import key_of, parsed
from papergen.paper.cite.registries import Identifier, identify

OWN = b"% my notes, 100%\n@misc{Old1999 ,title = {Old}, DOI={10.9/x}}\n   @comment{kept}\n"


@pytest.fixture
def bib(tmp_path: Path) -> Path:
    path = tmp_path / "references.bib"
    path.write_bytes(OWN)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The registry, and what it was asked."""
    with serving() as (address, seen):
        for kind in ("doi", "arxiv", "acl"):
            monkeypatch.setenv(f"PAPERGEN_{kind.upper()}_URL", f"{address}/{kind}")
        yield seen


@pytest.mark.parametrize(
    ("text", "kind", "id_"),
    [
        ("10.18653/v1/P18-1082", "doi", "10.18653/v1/p18-1082"),
        ("https://doi.org/10.1145/3411764.3445648.", "doi", "10.1145/3411764.3445648"),
        ("doi:10.1000/a(b)c", "doi", "10.1000/a(b)c"),
        ("1904.09751", "arxiv", "1904.09751"),
        ("arXiv:1904.09751v2", "arxiv", "1904.09751"),
        ("https://arxiv.org/pdf/1904.09751v2.pdf", "arxiv", "1904.09751"),
        ("10.48550/arXiv.1904.09751", "arxiv", "1904.09751"),
        ("hep-th/9901001", "arxiv", "hep-th/9901001"),
        ("P18-1082", "acl", "P18-1082"),
        ("https://aclanthology.org/2020.acl-main.77/", "acl", "2020.acl-main.77"),
        ("holtzman2020curious", "built-in", "holtzman2020curious"),
    ],
)
def test_what_people_paste_is_understood(text: str, kind: str, id_: str) -> None:
    assert identify(text) == Identifier(kind, id_)  # type: ignore[arg-type]


def test_what_is_no_id_is_refused_with_the_nearest_key() -> None:
    with pytest.raises(PapergenError, match="Did you mean holtzman2020curious"):
        identify("holtzman2019curious")


def test_a_doi_becomes_a_clean_entry_behind_the_authors_bytes(bib: Path, asked: list[tuple[str, str]]) -> None:
    (added,) = add(bib, ["https://doi.org/10.1234/Things_5"], "")
    assert added.key == "doe2021study"
    assert asked == [("/doi/10.1234/things_5", "application/x-bibtex")]
    content = bib.read_bytes()
    assert content.startswith(OWN)
    assert content[len(OWN) :].decode() == (
        "\n@article{doe2021study,\n"
        "  title = {A Study of Things \\& 50\\% of others\\_x},\n"
        "  volume = {3},\n"
        "  url = {http://dx.doi.org/10.1234/things_5},\n"
        "  doi = {10.1234/things_5},\n"
        "  journal = {Journal of A \\& B},\n"
        "  author = {Doe, Jané and Roe, R.},\n"
        "  year = {2021},\n"
        "  month = {mar},\n"
        "}\n"
    )
    assert not read_bib(bib)[1].faults


@pytest.mark.usefixtures("asked")
def test_arxiv_and_acl(bib: Path) -> None:
    keys = [added.key for added in add(bib, ["2101.00001", "2020.acl-main.77"], "")]
    assert keys == ["oz2021learning", "doe2020good"]
    _, book = read_bib(bib)
    assert not book.faults
    paper, parser = book.entry("oz2021learning"), book.entry("doe2020good")
    assert paper is not None
    assert parser is not None
    assert dict(paper.fields) == {
        "author": "Ünal Öz and Bo Li",
        "title": "Learning with C\\# \\& 5\\% noise",
        "year": "2021",
        "eprint": "2101.00001",
        "archiveprefix": "arXiv",
        "primaryclass": "cs.CL",
        "url": "https://arxiv.org/abs/2101.00001",
    }
    assert "abstract" not in parser.fields


@pytest.mark.usefixtures("asked")
def test_nothing_is_added_twice(bib: Path) -> None:
    first = add(bib, ["10.1234/things_5", "10.1234/moved"], "")
    assert first[1].why == "references.bib:5 has it already, by its DOI"
    before = bib.read_bytes()
    again = add(bib, ["10.1234/things_5"], "@misc{new, title={A study of {T}hings & 50% of others_x}}")
    assert [added.key for added in again] == ["doe2021study", "doe2021study"]
    assert [bool(added.why) for added in again] == [True, True]
    own = add(bib, ["doe2021study"], "")
    assert own[0].why.endswith("has it already, by its key")
    assert bib.read_bytes() == before


def test_what_papergen_brings_needs_no_network(bib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERGEN_DOI_URL", "http://127.0.0.1:9")
    works = ["10.18653/v1/P18-1082", "1904.09751", "P18-1082", "post2018fast"]
    added = add(bib, works, "")
    assert [one.key for one in added] == [
        "fan2018hierarchical",
        "holtzman2020curious",
        "fan2018hierarchical",
        "post2018fast",
    ]
    assert [bool(one.why) for one in added] == [False, False, True, False]


def test_a_pasted_entry_keeps_its_bytes_and_gets_a_free_key(bib: Path) -> None:
    pasted = 'Here it is:\n@Book{Old1999,\n\tTITLE = "Another  {B}ook", author={Ann Ü. Lee},year=2001 }\nBye.'
    (added,) = add(bib, [], pasted)
    assert added.key == "lee2001another"
    assert added.text == '@Book{lee2001another,\n\tTITLE = "Another  {B}ook", author={Ann Ü. Lee},year=2001 }\n'


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", b"@misc{k,"), (b"@misc{a, title={A}}\r\n", b"\r\n\r\n@misc{k,")]
)
def test_line_ends_and_empty_files(tmp_path: Path, content: bytes, expected: bytes) -> None:
    path = tmp_path / "references.bib"
    if content:
        path.write_bytes(content)
    add(path, [], "@misc{k,\n  title={K}}", key="k")
    assert expected in path.read_bytes()
    assert (b"\r\n" in content) == (b"{k,\r\n" in path.read_bytes())


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        ("10.1234/unknown", PapergenError, "knows no such work"),
        ("2101.99999", PapergenError, "arXiv knows no such paper"),
        ("10.1234/page", PapergenError, "is no BibTeX"),
        ("10.1234/bomb", PapergenError, "larger than 1 MiB"),
        ("10.1234/broken", MachineError, "could not be reached"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_answers_that_are_none(bib: Path, work: str, kind: type[PapergenError], words: str) -> None:
    with pytest.raises(kind, match=words):
        add(bib, ["post2018fast", work], "")
    assert bib.read_bytes() == OWN


@pytest.mark.usefixtures("asked")
def test_a_silent_registry_does_not_hang(bib: Path) -> None:
    start = time.monotonic()
    with pytest.raises(MachineError, match="could not be reached"):
        add(bib, ["10.1234/slow"], "", timeout_s=0.3)
    assert time.monotonic() - start < 5


def test_offline_the_message_says_what_to_do(bib: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERGEN_DOI_URL", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match="could not be reached") as caught:
        add(bib, ["10.1234/x"], "")
    assert "papergen cite add --bibtex -" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_damaged_bibliography_is_left_alone(bib: Path) -> None:
    bib.write_bytes(b"@misc{a, title={A} year=1}\n")
    with pytest.raises(PapergenError, match=r"references\.bib:1: a comma is missing"):
        add(bib, ["post2018fast"], "")


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("@misc{x, author={van der Berg, Jan}, title={The {LSTM} is not}, year=2019}", "vanderberg2019lstm"),
        (
            "@misc{x, author={Zoë Müller-Lüdenscheidt and A}, title={On being}, date={2020-01}}",
            "mullerludenscheidt2020being",
        ),
        ("@misc{x, title={Only a title}}", "anonymousonly"),
        ('@misc{x, author={{\\"O}zg{\\"u}r, A.}, title={A}, year=2001}', "ozgur2001"),
    ],
)
def test_keys(entry: str, key: str) -> None:
    assert key_of(parsed(entry, "x")[0], []) == key
    assert key_of(parsed(entry, "x")[0], [key.upper()]) == f"{key}a"


def test_the_command_prints_keys_and_search_finds(tmp_path: Path) -> None:
    project = make_project(tmp_path / "my paper 论文")
    (project / "entry.bib").write_text("@misc{mine, title={Mine}}", encoding="utf-8")
    done = papergen("cite", "add", "post2018fast", "--bibtex", "entry.bib", cwd=project)
    assert (done.returncode, done.stdout) == (0, "post2018fast\nmine\n"), done.stderr
    again = papergen("cite", "add", "post2018fast", cwd=project)
    assert again.stdout == "post2018fast\n"
    assert "references.bib:1 has it already, by its key" in again.stderr
    dry = papergen("cite", "add", "--dry-run", "fan2018hierarchical", cwd=project)
    assert "@inproceedings{fan2018hierarchical," in dry.stdout
    assert "fan2018" not in (project / "references.bib").read_text(encoding="utf-8")
    found = papergen("cite", "search", "--json", "nucleus", "sampling", cwd=project)
    assert "holtzman2020curious" in [json.loads(line)["key"] for line in found.stdout.splitlines()]
    assert papergen("cite", "search", "zzzz", cwd=project).returncode == 1
    assert papergen("cite", "add", cwd=project).returncode == 2
