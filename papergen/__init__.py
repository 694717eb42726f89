"""papergen: from experiments to a paper whose every number comes from a run that can be named.

The names below are all that the author of a kind of experiment imports.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from papergen.experiment.api import WORDS_ONLY, Context, From, Input, Metric, Params, Phrase

__version__ = "0.1.0"

__all__ = ["WORDS_ONLY", "Context", "From", "Input", "Metric", "Params", "Phrase"]

_MODULES = dict.fromkeys(__all__, "papergen.experiment.api")
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `papergen --help` must not wait for pydantic."""
    if name not in _MODULES:
        raise AttributeError(f"module 'papergen' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names too, before they are imported."""
    return sorted({*globals(), *__all__})
