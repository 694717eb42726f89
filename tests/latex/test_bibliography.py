"""The .bib reader is as strict as BibTeX and says the line; the author's bytes are never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from texlab import make_tree

from papergen.latex.bibliography.bibtex import parse
from papergen.latex.bibliography.database import bare_specials, entry_place, merge, read_bib, undefined_citations
from papergen.latex.bibliography.run import BibtexInput
from papergen.latex.problems import Place
from papergen.latex.sources import scan
from papergen.latex.tree import SourceTree

BIB = r"""Free text, and e.g. an a@b.org address, is a comment.
@string{acl = "Association for {"}Computational{"} Linguistics"}
@comment{@article{x, title={no}}}
@inproceedings(holtzman2020curious,
  title = {The Curious Case of {N}eural Text},
  author = "Ari {Holtzman} and {\"O}zg{\"u}r",
  booktitle = acl # { 2020},
  month = apr,
  year = 2020,
)
@Article{Vaswani2017,title={Attention},url={http://a.org/50%_x}}
@misc{empty,}
"""


def test_entries_fields_and_lines() -> None:
    bibliography = parse(BIB, "r.bib")
    assert bibliography.faults == []
    assert bibliography.keys == ["holtzman2020curious", "Vaswani2017", "empty"]
    entry = bibliography.entries[0]
    assert (entry.type, entry.first_line, entry.last_line) == ("inproceedings", 4, 10)
    assert entry.fields["title"] == "The Curious Case of {N}eural Text"
    assert entry.fields["booktitle"] == "acl 2020"
    assert entry.field_lines["year"] == 9
    assert bibliography.entry("VASWANI2017") is bibliography.entries[1]
    assert list(bare_specials(bibliography)) == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("@misc{a, title={T} year=2020}", 1, "a comma is missing after the field title"),
        ("@misc{a,\n title={T},\n author={A}\n year=2020}", 3, "a comma is missing after the field author"),
        ("@misc{a, title={T}}\n@misc{A, title={U}}", 2, "stands already in line 1"),
        ("@misc{a, title={T}\n\n@misc{b, title={U}}", 1, "the entry a is never closed"),
        ("@misc{a,\n title={T\n}\n@misc{b, title={U}}", 3, "the entry a is never closed"),
        ("@misc{a,\n title={T {x\n}\n\n@misc{b, title={U}}", 2, "this { is never closed"),
        ('@misc{a,\n title="T', 2, 'this " is never closed'),
        ("@misc{title={x}}", 1, "the key of the entry is missing"),
        ("@misc{a, journal = jmlrr}", 1, "jmlrr is no number and no @string"),
        ("@string{jmlr={J}}\n@misc{a, journal = jmlrr}", 2, "Did you mean jmlr?"),
        ("@misc{a, title {T}}", 1, "expected ="),
        ("@misc{a, title = }", 1, "a value is missing"),
    ],
)
def test_faults_name_the_line(text: str, line: int, words: str) -> None:
    faults = parse(text, "r.bib").faults
    assert [fault.line for fault in faults] == [line]
    assert words in faults[0].message


def test_reading_goes_on_after_a_fault() -> None:
    bibliography = parse(
        "@misc{a, title={T} x=1}\n@misc{b, title={U}}\n@misc{c title={V}}\n@misc{d, year=1}\n", "r.bib"
    )
    assert bibliography.keys == ["b", "d"]
    assert [fault.line for fault in bibliography.faults] == [1, 3]


@pytest.mark.parametrize("value", ["50% more", "A & B", "issue #5", "x_1", "a^b"])
def test_bare_specials_are_told(value: str) -> None:
    faults = list(bare_specials(parse(f"@misc{{a,\n title = {{{value}}}}}", "r.bib")))
    assert [fault.line for fault in faults] == [2]


@pytest.mark.parametrize("value", [r"50\% more", "$x_1^2$", r"\url{a_b%c}", r"A \& B", r"\href{a#b}{c}"])
def test_escaped_specials_are_fine(value: str) -> None:
    assert list(bare_specials(parse(f"@misc{{a, note = {{{value}}}}}", "r.bib"))) == []


BUILT_IN = {
    "fan2018hierarchical": "@inproceedings{fan2018hierarchical, title={H}}",
    "vaswani2017": "@misc{vaswani2017, title={not the author's}}",
    "zhang2021": "@misc{zhang2021, title={Z}}",
}


@pytest.mark.parametrize("ending", ["\n", "", "\r\n"])
def test_the_authors_bytes_stay_and_cited_entries_follow(ending: str, tmp_path: Path) -> None:
    author = tmp_path / "references.bib"
    own = BIB.rstrip("\n").replace("\n", "\r\n").encode() + ending.encode()
    author.write_bytes(own)
    merged = merge(*read_bib(author), BUILT_IN, {"zhang2021", "vaswani2017", "fan2018hierarchical", "nobody"})
    assert merged.startswith(own)
    keys = parse(merged.decode(), "r.bib").keys
    assert keys == [
        "holtzman2020curious",
        "Vaswani2017",
        "empty",
        "fan2018hierarchical",
        "zhang2021",
    ]
    assert merge(*read_bib(author), BUILT_IN, set()) == own


def test_without_an_authors_file_only_the_cited_are_there(tmp_path: Path) -> None:
    merged = merge(*read_bib(tmp_path / "none.bib"), BUILT_IN, {"zhang2021"})
    assert parse(merged.decode(), "r").keys == ["zhang2021"]


def test_all_faults_of_the_authors_file_at_once(tmp_path: Path) -> None:
    author = tmp_path / "references.bib"
    author.write_text("@misc{a, title={T} x=1}\n@misc{b, title={5% x}}\n")
    said = [str(fault) for fault in read_bib(author)[1].faults]
    assert said[0].startswith("references.bib:1: a comma is missing")
    assert said[1].startswith("references.bib:2: a bare %")
    author.write_bytes(b"@misc{a,\n title={\xe9}}")
    (fault,) = read_bib(author)[1].faults
    assert str(fault).startswith("references.bib:2: not UTF-8 text. Save the file as UTF-8. With ENCODING")


def test_undefined_citations_name_the_nearest() -> None:
    uses = scan(r"\cite{Vaswani2017,holtzmann2020curious}\nocite{*}", "a.tex")
    found = list(undefined_citations(uses, ["vaswani2017", "holtzman2020curious"]))
    assert [(use.argument, near) for use, near in found] == [("holtzmann2020curious", "holtzman2020curious")]


def test_a_line_of_the_bbl_belongs_to_an_entry(tmp_path: Path) -> None:
    bbl = "\\begin{thebibliography}{1}\n\\bibitem[Holtzman\n  et~al.(2020)]{holtzman2020curious}\nText\n"
    bbl += "\\bibitem{empty}\nx_y\n"
    tree = SourceTree(make_tree(tmp_path, {"main.bbl": bbl, "r.bib": BIB}))
    assert entry_place(tree, Place("main.bbl", 4)) == Place("r.bib", 4)
    assert entry_place(tree, Place("main.bbl", 6)) == Place("r.bib", 12)
    assert entry_place(tree, Place("main.bbl", 1)) is None


def test_what_revtex_cites_for_itself_is_no_citation() -> None:
    control = ("REVTEX42Control", "apsrev42Control")
    assert not BibtexInput(control, ("mainNotes", "references")).is_complete
    assert BibtexInput((*control, "good2020"), ("mainNotes", "references")).is_complete
    assert not BibtexInput((), ("references",)).is_complete
