"""A small text to train on, the same for every test."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

# Before torch is imported, here and in the ranks that a fork server makes.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def text_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose text.txt holds some 12,000 characters of made-up sentences."""
    project = tmp_path_factory.mktemp("project")
    draw = random.Random(0)
    words = ("rank", "waits", "gradient", "peer", "flows", "over", "bucket", "until", "all", "of", "them", "agree")
    lines = [" ".join(draw.choice(words) for _ in range(12)) + f" {number}." for number in range(180)]
    (project / "text.txt").write_text("\n\n".join(lines))
    return project
