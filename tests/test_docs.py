"""The documentation says what is true."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_cli_page_is_what_help_says() -> None:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == module.page(), "run `make docs`"


def test_links_in_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_rooms_page_names_every_room() -> None:
    text = (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8")
    for path in (ROOT / "papergen").rglob("*.py"):
        name = path.relative_to(ROOT / "papergen").as_posix()
        if not name.startswith("_") and not name.endswith("__init__.py"):
            assert f"`{name}`" in text, f"docs/rooms.md does not say what {name} is for"
