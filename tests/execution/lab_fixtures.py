"""Fixtures of every test that starts ranks; a folder's conftest imports the ones it wants."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import MARK, Lab, wait_until_gone


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab")


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A word in the environment of every process that the test starts; none may be left at its end."""
    word = uuid.uuid4().hex
    monkeypatch.setenv(MARK, word)
    yield word
    left = wait_until_gone(word, 2.0)
    assert not left, f"processes are left: {left}"
