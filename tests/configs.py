"""What papergen makes of an experiment file, for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.config import ExperimentConfig, read_experiments
from papergen.core.errors import PapergenError


def config_of(project: Path, text: str, **options: object) -> ExperimentConfig:
    (project / "experiments" / "first.yaml").write_text(text, encoding="utf-8")
    return read_experiments(project, **options)["first"]  # type: ignore[arg-type]


def fault_of(project: Path, text: str, **options: object) -> str:
    with pytest.raises(PapergenError) as caught:
        config_of(project, text, **options)
    return str(caught.value)
