"""The built-in references: complete, unique, cited by the code that uses them, and fit for BibTeX."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.latex.bibliography.database import bare_specials, parse
from papergen.report import citations

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "howpublished", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "book": {"author", "title", "publisher", "year"},
}


def test_every_entry_is_complete_and_without_bare_specials() -> None:
    bibliography = parse(citations.FILE.read_text(encoding="utf-8"), "methods.bib")
    assert not bibliography.faults
    assert not list(bare_specials(bibliography))
    assert sorted(bibliography.keys) == citations.known()
    for entry in bibliography.entries:
        assert NEEDED[entry.type.lower()] <= entry.fields.keys(), entry.key


def test_every_key_that_the_product_cites_is_there() -> None:
    own = parse((ROOT / "templates/twocolumn/project/references.bib").read_text(encoding="utf-8"), "references.bib")
    places = [
        *(ROOT / "papergen").rglob("*.py"),
        *(ROOT / "experiments").glob("*.py"),
        *(ROOT / "templates").rglob("*.new"),
    ]
    for path in places:
        for group in re.findall(
            r"\\cite[tp]?\{\{?([a-z]+\d{4}[a-z]+(?:,[a-z]+\d{4}[a-z]+)*)\}", path.read_text(encoding="utf-8")
        ):
            for key in group.split(","):
                assert key in {*citations.known(), *own.keys}, f"{path} cites {key}"


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(PapergenError, match="Did you mean holtzman2020curious"):
        citations.entry("holtzman2020curius")


def test_search_by_words() -> None:
    assert citations.search("nucleus")[0] == "holtzman2020curious", "keywords name the method"
    assert citations.search("Degeneration holtzman") == ["holtzman2020curious"]
    assert citations.search("self-bleu")[0] == "zhu2018texygen"
    assert citations.search("diverse beam search")[0] == "vijayakumar2018diverse"
    assert citations.search("") == citations.search("quantum chromodynamics") == []


@pytest.mark.parametrize("key", citations.known())
def test_an_entry_agrees_with_its_key_and_its_identifiers_are_well_formed(key: str) -> None:
    text = citations.entry(key)
    assert text.isascii()
    assert re.findall(r"\d{4}", key) == [citations.field(text, "year")]
    assert key.startswith(re.sub(r"\W", "", citations.field(text, "author").split(",")[0].lower()))
    assert "others" not in citations.field(text, "author")
    assert "--" in citations.field(text, "pages") or not citations.field(text, "pages")
    assert re.fullmatch(r"(10\.\d{4,}/\S+)?", citations.field(text, "doi"))
    assert re.fullmatch(r"(\d{4}\.\d{4,5})?", citations.field(text, "eprint"))


def test_no_work_stands_twice() -> None:
    for name in ("doi", "eprint", "title"):
        values = [value.lower() for text in citations.entries().values() if (value := citations.field(text, name))]
        assert len(values) == len(set(values))


@pytest.mark.tex
@pytest.mark.parametrize("style", ["plainnat", "unsrtnat"])
def test_bibtex_takes_all_entries_without_a_warning(tmp_path: Path, style: str) -> None:
    (tmp_path / "methods.bib").write_text(citations.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "x.aux").write_text(f"\\bibstyle{{{style}}}\n\\citation{{*}}\n\\bibdata{{methods}}\n")
    done = subprocess.run(["bibtex", "x"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout, done.stdout
    assert (tmp_path / "x.bbl").read_text().count("\\bibitem") == len(citations.known())


@pytest.mark.tex
def test_the_whole_list_typesets_in_two_columns_without_overfull_lines(tmp_path: Path) -> None:
    (tmp_path / "methods.bib").write_text(citations.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage[T1]{fontenc}\usepackage{mathptmx}\usepackage[numbers]{natbib}"
        r"\usepackage{hyperref}\begin{document}\nocite{*}\bibliographystyle{plainnat}\bibliography{methods}\end{document}"
    )
    latex = ["pdflatex", "-interaction=nonstopmode", "main"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    log = (tmp_path / "main.log").read_text(errors="replace")
    assert "Overfull" not in log, [line for line in log.splitlines() if "Overfull" in line]
    assert "undefined" not in log
