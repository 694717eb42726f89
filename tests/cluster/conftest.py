"""Everything here needs root and is run by `make test-cluster`; without what it needs it skips with the reason."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_asked_for = "cluster" in config.option.markexpr or any("cluster" in word for word in config.args)
    for item in items:
        if "/tests/cluster/" in str(item.path):
            item.add_marker(pytest.mark.cluster)
            if not is_asked_for:
                item.add_marker(pytest.mark.skip(reason="boots SLURM and network namespaces: make test-cluster"))
