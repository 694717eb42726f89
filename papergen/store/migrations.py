"""Records of older schemas brought up to the present one, in memory: what was written stays as it was written.

Each step turns the JSON of one schema number into that of the next. A step is never changed once it was released, and
tests/golden/store holds a folder of every schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Record = dict[str, Any]


def brought_up(record: Mapping[str, Any], schema: int, target: int) -> Record:
    """A result's record as schema `target` has it."""
    found = dict(record)
    for step in range(schema, target):
        found = STEPS[step](found)
    return found


def _from_1(record: Record) -> Record:
    """Schema 2 knows the driver, the environment and the failed attempts of a run."""
    added = {"driver": "", "environment": {}, "failed_attempts": []}
    provenance = {**added, **record["provenance"]}
    return {**record, "schema": 2, "provenance": provenance, "trial": {**record["trial"], "schema": 2}}


STEPS: Mapping[int, Callable[[Record], Record]] = {1: _from_1}
"""Schema -> what makes the next one of it."""
