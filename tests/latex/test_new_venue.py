"""docs/contributing/venue.md: the two files that it shows are a template that passes what every template passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_venues import build, written
from texlab import pdf_pages

from papergen.latex.venues.template import load_template

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contributing" / "venue.md"


def block(language: str) -> str:
    """The page's one block in this language, without the indentation of its list."""
    found = re.search(rf"   ```{language}\n(.*?)   ```\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return re.sub(r"^ {3}", "", found[1], flags=re.MULTILINE)


@pytest.mark.tex
@pytest.mark.parametrize("mode", ["review", "camera-ready"])
def test_two_files_make_a_venue(mode: str, tmp_path: Path) -> None:
    folder = tmp_path / "moon"
    (folder / "project").mkdir(parents=True)
    (folder / "template.yaml").write_text(block("yaml"), encoding="utf-8")
    (folder / "project" / "main.tex.j2.new").write_text(block("latex"), encoding="utf-8")
    template = load_template(str(folder))
    done, log = build(written(tmp_path, str(folder), mode))
    text = " ".join(pdf_pages(done.pdf))
    assert ("Ada Author" in text) == (mode == "camera-ready")
    assert "[?]" not in text
    widths = re.search(r"WIDTHS ([\d.]+)pt ([\d.]+)pt", log)
    assert widths
    assert float(widths[1]) / 72.27 == pytest.approx(template.column_width_in, abs=0.002)
    assert float(widths[2]) / 72.27 == pytest.approx(template.text_width_in, abs=0.002)
