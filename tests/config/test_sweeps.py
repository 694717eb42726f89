"""Many rows from few lines: grids, ranges, exclusions and presets, and the message that each fault gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from configs import config_of, fault_of

from papergen.core.errors import PapergenError
from papergen.experiment.project import open_project


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("[1, 2]", [1, 2]),
        ("range(4)", [0, 1, 2, 3]),
        ("range(0, 10, 3)", [0, 3, 6, 9]),
        ("range(3, 0, -1)", [3, 2, 1]),
        ("range(0, 0.5, 0.1)", [0, 0.1, 0.2, 0.3, 0.4]),
        ("linspace(0.5, 1, 6)", [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ("linspace(1, 1, 1)", [1]),
        ("geomspace(1e-4, 1e-1, 4)", [0.0001, 0.001, 0.01, 0.1]),
        ("geomspace(1, 8, 4)", [1, 2, 4, 8]),
        ("logspace(-3, 0, 4)", [0.001, 0.01, 0.1, 1]),
    ],
)
def test_ranges_are_those_of_python_and_numpy(project: Path, written: str, values: list[float]) -> None:
    config = config_of(project, f"kind: fake\ngrid: {{rate: '{written}'}}\n".replace("'[", "[").replace("]'", "]"))
    assert [row["rate"] for row in config.rows.values()] == values
    assert len(config.rows) == len(values)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("rnage(3)", "first.yaml:2: there is no range 'rnage'. Did you mean range?"),
        ("range(a)", "first.yaml:2: 'range(a)' is no range. Write it like range(0, 10, 2)."),
        ("range(0, 1, 0)", "(a step of 0 never ends)"),
        ("range(1e9)", "(1,000,000,000 values are more than 100,000)"),
        ("linspace(0, 1)", "'linspace(0, 1)' is no range. Write it like linspace(0.5, 1, 6)."),
        ("geomspace(0, 1, 3)", "(both ends must be above 0)"),
        ("range(3, 1)", "'range(3, 1)' holds no value"),
        ("3", "first.yaml:2: 3: write a list as [1, 2, 3], or a range: range(0, 10, 2)"),
    ],
)
def test_what_is_no_range(project: Path, written: str, message: str) -> None:
    text = f"kind: fake\ngrid: {{rate: '{written}'}}\n".replace("'3'", "3")
    assert message in fault_of(project, text)


def test_zip_goes_in_step_and_multiplies_with_the_grid(project: Path) -> None:
    config = config_of(
        project,
        "kind: fake\nrows: {a: {}}\ngrid: {exact: [true, false]}\nzip: {size: [1, 2], rate: [0.1, 0.2]}\n",
    )
    assert list(config.rows) == [
        "a@exact-True@size-1@rate-0.1",
        "a@exact-True@size-2@rate-0.2",
        "a@exact-False@size-1@rate-0.1",
        "a@exact-False@size-2@rate-0.2",
    ]
    two = config_of(project, "kind: fake\nzip:\n- {size: [1, 2]}\n- {rate: [0.1, 0.2]}\n")
    assert len(two.rows) == 4
    uneven = fault_of(project, "kind: fake\nzip: {size: [1, 2], rate: [1]}\n")
    assert "first.yaml:2: what goes in step must be equally many values: size has 2, rate has 1." in uneven
    assert "rate is swept twice" in fault_of(project, "kind: fake\ngrid: {rate: [1]}\nzip: {rate: [1]}\n")


def test_exclusions_leave_out_and_must_meet_something(project: Path) -> None:
    text = "kind: fake\nrows: {a: {}, b: {}}\ngrid: {size: [1, 2, 3]}\nexclude:\n- {row: a, size: [1, 2]}\n"
    assert list(config_of(project, text).rows) == ["a@size-3", "b@size-1", "b@size-2", "b@size-3"]
    nothing = fault_of(project, text + "- {size: 4}\n")
    assert "first.yaml:6: no row is {'size': 4}; this excludes nothing." in nothing
    assert "nothing is left" in fault_of(project, "kind: fake\nsize: 1\nexclude:\n- {size: 1}\n")
    assert "write `- {parameter: value" in fault_of(project, "kind: fake\nexclude: {size: 1}\n")
    whole = fault_of(project, text + "- {row: b}\n")
    assert "first.yaml:6: nothing is left of the row b. Remove the row; or" in whole
    assert "first.yaml:5: nothing is left of the row a." in fault_of(project, text.replace("[1, 2]}\n", "[1, 2, 3]}\n"))


def test_a_value_twice_in_a_grid_is_told(project: Path) -> None:
    assert "the row main@size-1 comes about twice" in fault_of(project, "kind: fake\ngrid: {size: [1, 1]}\n")


PRESETS = """kind: fake
size: 1
rate: 0.1
preset: base
seeds: [0, 1]
presets:
  base: {rate: 0.2}
  quick: {size: 9, seeds: [5]}
rows:
  a: {}
  b: {preset: quick, size: 3}
  c: {seeds: "range(2, 4)"}
"""


def test_presets_lie_between_the_shared_values_and_the_rows(project: Path) -> None:
    config = config_of(project, PRESETS)
    assert config.rows == {"a": {"size": 1, "rate": 0.2}, "b": {"size": 3, "rate": 0.2}, "c": {"size": 1, "rate": 0.2}}
    assert [config.seeds_of(row) for row in "abc"] == [(0, 1), (5,), (2, 3)]
    assert config.where("a", ["rate"]) == "experiments/first.yaml:7"
    assert config.where("a", ["size"]) == "experiments/first.yaml:2"
    asked = config_of(project, PRESETS, presets=["quick"])
    assert {row: values["size"] for row, values in asked.rows.items()} == {"a": 9, "b": 3, "c": 9}
    assert asked.where("a", ["size"]) == "experiments/first.yaml:8"
    assert asked.seeds_of("a") == (5,)
    changed = config_of(project, PRESETS, overrides=["first.presets.base.rate=7", "first.preset=quick"])
    assert changed.rows["a"] == {"size": 9, "rate": 0.1}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("preset: base", "preset: bsae", "first.yaml:4: there is no preset 'bsae'. Did you mean base?"),
        ("preset: quick", "preset: quik", "first.yaml:11: there is no preset 'quik'. Did you mean quick?"),
        ("preset: base", "preset: 3", "first.yaml:4: preset = 3: write a name or a list of names."),
        ("base: {rate: 0.2}", "base: 3", "first.yaml:7: write the preset as `base: {parameter: value}`."),
        (
            "base: {rate: 0.2}",
            "base: {grid: {}}",
            "first.yaml:7: grid belongs to the file, not to a preset. A row that sets a parameter itself is not",
        ),
        ("base: {rate: 0.2}", "base: {preset: quick}", "first.yaml:7: a preset holds values, not another preset."),
        ("seeds: [5]", "seeds: []", "first.yaml:8: seeds = []: write a list of whole numbers"),
    ],
)
def test_faults_of_presets(project: Path, old: str, new: str, message: str) -> None:
    assert message in fault_of(project, PRESETS.replace(old, new))


def test_an_unknown_preset_of_the_command_line(project: Path) -> None:
    asked = fault_of(project, PRESETS, presets=["quik"])
    assert "--preset quik: no experiment has a preset of this name. Did you mean quick?" in asked


def test_a_row_of_a_grid_stands_for_all_that_came_of_it(project: Path) -> None:
    (project / "experiments" / "first.yaml").write_text("kind: fake\nrows: {a: {}, ab: {}}\ngrid: {size: [1, 2]}\n")
    opened = open_project(project)
    assert [trial.row for trial in opened.select([], ["first/a"])] == ["a@size-1", "a@size-2"]
    assert [trial.row for trial in opened.select([], ["a", "ab@size-1"])] == ["a@size-1", "a@size-2", "ab@size-1"]
    with pytest.raises(PapergenError, match="--only b: there is no such row"):
        opened.select([], ["b"])
