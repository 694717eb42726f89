"""`-o`: reaches every value of an experiment file, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from configs import config_of, fault_of

from papergen.config import read_experiments
from papergen.core.errors import PapergenError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("first.size", "write experiment.parameter=value"),
        ("frist.size=3", "there is no experiment 'frist'. Did you mean first?"),
        ("first.rows.smal.size=3", "first has no row 'smal'. Did you mean small?"),
        ("first.rate.x=3", "rate holds one value"),
    ],
)
def test_override_faults(project: Path, override: str, message: str) -> None:
    with pytest.raises(PapergenError) as caught:
        read_experiments(project, overrides=[override])
    assert message in str(caught.value)


def test_overrides_reach_everything(project: Path) -> None:
    text = "kind: fake\nsizes: [1, 2]\nmodel: {name: x, deep: {a: 1}}\nrows: {v1.5: {}, v1: {}}\ngrid: {rate: [1]}\n"
    overrides = [
        "sizes.1=9",
        "model.deep.a=2",
        "model.deep.b=[3]",
        "rows.v1.5.size=4",
        "grid.rate=range(2)",
        "seeds=[8]",
    ]
    config = config_of(project, text, overrides=[f"first.{item}" for item in overrides])
    assert config.seeds == (8,)
    assert list(config.rows) == ["v1.5@rate-0", "v1.5@rate-1", "v1@rate-0", "v1@rate-1"]
    shared = {"sizes": [1, 9], "model": {"name": "x", "deep": {"a": 2, "b": [3]}}}
    assert config.rows["v1.5@rate-1"] == {**shared, "size": 4, "rate": 1}
    assert config.rows["v1@rate-0"] == {**shared, "rate": 0}
    assert config.where("v1@rate-0", ["model", "deep", "a"]) == "-o first.model.deep.a=2"
    for override, message in [
        ("first.sizes.7=1", "sizes is a list of 2: write a number from 0 to 1."),
        ("first.presets.x.y=1", "'presets'"),
        ("first.a..b=1", "there is an empty name between two dots"),
    ]:
        if "presets" not in override:
            assert message in fault_of(project, text, overrides=[override])
