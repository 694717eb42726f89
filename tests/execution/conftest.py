"""Fixtures of the launcher tests; what they are made of lies in lab.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import QUICK
from lab_fixtures import lab, mark

from papergen.execution.launchers.local import LocalLauncher

__all__ = ["lab", "mark"]


@pytest.fixture
def launcher(mark: str) -> Iterator[LocalLauncher]:
    with LocalLauncher(QUICK) as launcher:
        yield launcher
