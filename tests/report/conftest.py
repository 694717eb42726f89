"""Fixtures of the report tests; what they are made of lies in made.py."""

from __future__ import annotations

import pytest
from made import decoding_results, make_results, speed_results

from papergen.report.results import Results


@pytest.fixture
def results() -> Results:
    return make_results([*decoding_results(), *speed_results()])
