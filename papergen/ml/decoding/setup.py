"""The set-up of decoding in words that the kinds which generate text share."""

from __future__ import annotations

from typing import Any

from papergen.report.parts import View
from papergen.report.words import either


def most_new(view: View, row: str) -> int:
    """Most tokens of a text of the row, as its model counts them."""
    params: Any = view.params(row)
    facts = next((result.outcome.facts for result in view.finished(row)), {})
    return int(facts.get("reference_tokens", params.reference_tokens))


def limits(view: View) -> str:
    """`most_new` in words, of all rows."""
    return either([str(most_new(view, row)) for row in view.rows], view.language)
