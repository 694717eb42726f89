"""The layers of papergen, from the ground up: the list that test, docs/architecture.md and fingerprints read."""

from __future__ import annotations

LAYERS: tuple[tuple[str, ...], ...] = (
    ("core",),
    ("config",),
    ("store",),
    ("experiment",),
    ("execution", "latex"),
    ("report",),
    ("ml",),
    ("paper",),
    ("cli",),
)
"""A package imports only packages of earlier entries and itself, lazy and type-checking imports included."""

FORBIDDEN: frozenset[tuple[str, str]] = frozenset({("report", "execution"), ("ml", "execution"), ("paper", "ml")})
"""(importer, imported) pairs that the order would allow: kinds bring `ml` and `execution` together, and nothing
that prints a paper knows a shipped kind."""

SCIENCE = "ml"
"""The package whose code decides numbers; the others only plan, launch, report and typeset."""

HEAVY_LIBRARIES = frozenset({"torch", "transformers", "tokenizers", "safetensors"})
"""Libraries that a paper is built without; only `HEAVY_PACKAGES` import them."""

HEAVY_PACKAGES: tuple[str, ...] = ("ml", "execution/worker")
