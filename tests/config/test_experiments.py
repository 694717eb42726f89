"""experiments/*.yaml: rows, grids and seeds, and every fault at its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from configs import fault_of

from papergen.config import read_experiments
from papergen.core.errors import PapergenError


def test_a_row_keeps_the_value_that_it_sets_itself_from_the_grid(project: Path) -> None:
    path = project / "experiments" / "fake.yaml"
    path.write_text("kind: fake\nrows: {a: {size: 2}, b: {}}\ngrid: {size: [1, 3], rate: [0.1]}\n")
    rows = read_experiments(project)["fake"].rows
    assert {row: params["size"] for row, params in rows.items()} == {
        "a@rate-0.1": 2,
        "b@size-1@rate-0.1": 1,
        "b@size-3@rate-0.1": 3,
    }


def test_rows_grid_seeds_and_overrides(project: Path) -> None:
    path = project / "experiments" / "first.yaml"
    path.write_text("kind: fake\nseeds: [3]\nrate: 0.1\nrows: {a: {size: 2}, b: {}}\ngrid: {rate: [1e-3, 0.2]}\n")
    config = read_experiments(project, overrides=["first.rows.a.size=7"], seeds=[1, 2])["first"]
    assert config.seeds == (1, 2)
    assert config.rows == {
        "a@rate-0.001": {"rate": 0.001, "size": 7},
        "a@rate-0.2": {"rate": 0.2, "size": 7},
        "b@rate-0.001": {"rate": 0.001},
        "b@rate-0.2": {"rate": 0.2},
    }
    assert config.where("a@rate-0.2", ["size"]) == "-o first.rows.a.size=7"
    assert config.where("a@rate-0.2", ["rate"]) == "experiments/first.yaml:5"
    assert config.where("b@rate-0.2", ["nothing"]) == "experiments/first.yaml:4"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("seeds: [0]\n", ["experiments/first.yaml:1: no `kind:` line"]),
        ("kind: fake\nseeds: [0, 0]\n", ["experiments/first.yaml:2: seeds = [0, 0]: a seed stands twice"]),
        ("kind: fake\nseeds: 3\nrows: [a]\n", ["first.yaml:2: seeds = 3", "first.yaml:3: write rows as"]),
        ("kind: fake\nrows: {'a/b': {}}\n", ["first.yaml:2: row name 'a/b'"]),
        ("kind: fake\nrows:\n  a: 3\n", ["first.yaml:3: write the row as `a: {parameter: value}`"]),
        ("- 1\n", ["first.yaml:1: expected `name: value` lines, found a list"]),
        ("kind：fake\nseeds: [0]\n", ["first.yaml:1: not valid YAML. The ： in it is U+FF1A, not ASCII: type `:`."]),
        ("kind: fake\nsize：6   # x\n\nrows:\n  a: {}\n", ["first.yaml:2: not valid YAML. The ： in it"]),
        (
            "kind: fake\nrows:\n\u3000\u3000a: {}\n  b: {}\n",
            ["first.yaml:3: not valid YAML. The space in it is U+3000"],
        ),
        ("kind: fake\nrows:\n  a: ｛size: 2｝\n", ["first.yaml:3: not valid YAML. The ｛ in it", "type `{`"]),
        ("kind: fake\nseeds: [0，1]\n", ["first.yaml:2: seeds = ['0，1']", "The ， in it is U+FF0C"]),
        ("kind: fake\nrows:\n  a：{size: 2}\n", ["first.yaml:3: row name 'a：{size'", "The ： in it"]),
        ("kind: fake\ndescription: 大小：甲: 乙\n", ["first.yaml:2: not valid YAML: mapping values", "needs quotes"]),
    ],
)
def test_faults_name_file_and_line(project: Path, text: str, messages: list[str]) -> None:
    (project / "experiments" / "first.yaml").write_text(text)
    with pytest.raises(PapergenError) as caught:
        read_experiments(project)
    for message in messages:
        assert message in str(caught.value)


def test_a_bomb_of_aliases_and_deep_nesting_are_refused_at_once(project: Path) -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    assert "no anchors and aliases" in fault_of(project, bomb)
    assert "nested too deep" in fault_of(project, "a: " + "[" * 2000 + "]" * 2000)
    assert "Indent with spaces" in fault_of(project, "kind: fake\nrows:\n\ta: {}\n")
    assert "needs quotes" in fault_of(project, "kind: fake\nname: a: b\n")
