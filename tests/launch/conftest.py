"""Fixtures of the launcher tests; what they are made of lies in lab.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import MARK, QUICK, Lab, wait_until_gone

from papergen.launch.local import LocalLauncher


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


@pytest.fixture
def launcher(mark: str) -> Iterator[LocalLauncher]:
    with LocalLauncher(limits=QUICK) as launcher:
        yield launcher
