"""Fixtures shared by all tests: odd project paths, a tiny fake experiment kind."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from fakes import make_project

# A shell without job control starts its background jobs with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What papergen remembers of this machine is none of the tests'.
os.environ["PAPERGEN_CACHE"] = tempfile.mkdtemp(prefix="papergen-cache-")
atexit.register(shutil.rmtree, os.environ["PAPERGEN_CACHE"], ignore_errors=True)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(params=["plain", "with space", "中文 'quoted'"])
def odd_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a name that breaks careless code."""
    folder = tmp_path / str(request.param)
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A paper project with one fake experiment of two rows and two seeds."""
    return make_project(tmp_path / "my paper 论文")
