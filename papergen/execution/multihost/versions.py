"""The versions that the machines of a run must have in common, whatever its trials import."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

from papergen import __version__


def versions_here() -> dict[str, str]:
    """papergen, whose machines talk to each other; torch, whose process group spans them; and Python."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "none"
    return {"papergen": __version__, "torch": torch, "Python": ".".join(platform.python_version_tuple()[:2])}


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """What another machine has and this one has not, in words; "" when all is the same.

    Builds of one version (2.13.0+cpu, 2.13.0+cu130) are the same: a run may span them.
    """
    differing = [name for name, version in ours.items() if _public(theirs.get(name, "?")) != _public(version)]
    there = ", ".join(f"{name} {theirs.get(name, 'of an earlier papergen')}" for name in differing)
    here = ", ".join(f"{name} {ours[name]}" for name in differing)
    return f"it has {there}; node 0 has {here}" if differing else ""


def _public(version: str) -> str:
    return version.partition("+")[0]
