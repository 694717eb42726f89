"""The live preview in a real browser: pages, errors, claims, and the reader's place on the page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from browser import Browser
from paperlab import make_paper, write

from papergen.paper.watch.server import Preview
from papergen.paper.watch.session import Session

pytestmark = [pytest.mark.tex, pytest.mark.slow]

LOADED = "[...document.querySelectorAll('#pages img')].filter(i => i.complete && i.naturalWidth > 500).length"


def test_the_preview_follows_the_paper(tmp_path: Path) -> None:
    if shutil.which("pdftoppm") is None:
        pytest.skip("no pdftoppm on this machine")
    more = "Page two.\\newpage Page three <b>x</b>.\n"
    folder = make_paper(tmp_path / "my paper 论文", **{"sections/more.tex": "\\newpage\n" + more})
    session = Session(folder)
    with Preview(session, folder.name) as preview, Browser(tmp_path / "profile") as browser:
        session.tell = preview.tell
        browser.open(preview.url)
        browser.until("document.getElementById('status')?.textContent == 'building ...'")
        session.rebuild()
        browser.until("document.getElementById('status').className == 'built'")
        assert "3 pages" in browser.value("document.getElementById('status').textContent")
        assert browser.value("document.querySelector('strong').textContent") == "my paper 论文"
        browser.until(f"{LOADED} >= 1")
        assert "body.tex:4: holds" in browser.value("document.getElementById('claims').innerText")

        browser.value("document.getElementById('pages').scrollTop = 1500")
        browser.until(f"{LOADED} >= 2")
        before = browser.value("document.getElementById('pages').scrollTop")
        first = browser.value("document.querySelectorAll('#pages img')[1].src")
        write(folder, {"sections/more.tex": "\\newpage\nAnother " + more})
        session.rebuild([folder / "sections" / "more.tex"])
        browser.until(f"document.querySelectorAll('#pages img')[1].src != '{first}'")
        assert browser.value("document.getElementById('pages').scrollTop") == before

        write(
            folder,
            {"sections/more.tex": "\\newpage\n\\result{first/lage/score} <script>document.title='bad'</script>\n"},
        )
        session.rebuild([folder / "sections" / "more.tex"])
        browser.until("document.getElementById('status').className == 'failed'")
        errors = browser.value("document.getElementById('errors').innerText")
        assert "sections/more.tex:2" in errors
        assert "Did you mean large?" in errors
        assert browser.value("document.title") == "my paper 论文"
        assert browser.value("document.getElementById('pages').className") == "old"

        write(folder, {"sections/more.tex": more})
        yaml = folder / "experiments" / "first.yaml"
        yaml.write_text(yaml.read_text(encoding="utf-8").replace("size: 5", "size: 6"), encoding="utf-8")
        session.rebuild([folder / "experiments" / "first.yaml"])
        browser.until("!document.getElementById('stale').hidden")
        assert "first/large seed 0: stale" in browser.value("document.getElementById('stale').innerText")
        if kept := os.environ.get("PAPERGEN_SCREENSHOTS"):
            browser.screenshot(Path(kept) / "preview.png")
