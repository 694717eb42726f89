"""The benchmark of training on a GPU, which lies outside the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def training_gpu() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "training_gpu.py"
    spec = importlib.util.spec_from_file_location("benchmark_training_gpu", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
