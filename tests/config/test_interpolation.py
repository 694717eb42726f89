"""Values from the environment: typed, at their line, and never asked for in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
from configs import config_of, fault_of

from papergen.config.interpolation import environment_names, interpolated


def test_the_environment_fills_values_in_typed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_SIZE", "7")
    monkeypatch.setenv("PG_TEXT", "a b: c")
    monkeypatch.setenv("PG_LIST", "[1, 2]")
    config = config_of(
        project,
        "kind: fake\nsize: ${env:PG_SIZE}\nrate: ${env:PG_NOT:-1e-3}\nname: x-${env:PG_SIZE}-${env:PG_TEXT}\n"
        'text: ${env:PG_TEXT}\nsecret: ${secret:PG_SIZE}\ngrid: {many: "${env:PG_LIST}"}\n',
    )
    assert config.rows["main@many-1"] == {
        "size": 7,
        "rate": 0.001,
        "name": "x-7-a b: c",
        "text": "a b: c",
        "secret": "${secret:PG_SIZE}",
        "many": 1,
    }


def test_a_missing_variable_of_one_row_is_told_at_its_line(project: Path) -> None:
    text = "kind: fake\nrows:\n  a: {}\n  b:\n    size: ${env:PG_NO_SUCH}\n  c: {rate: '${evn:X}'}\n"
    told = fault_of(project, text)
    assert "first.yaml:5: ${env:PG_NO_SUCH}: the environment has no variable PG_NO_SUCH." in told
    assert "first.yaml:6: ${evn:X}: write ${env:NAME}, ${env:NAME:-default} or ${secret:NAME}." in told
    assert "needs quotes inside { } and [ ]" in fault_of(project, "kind: fake\nrows: {a: {size: ${env:X}}}\n")
    # A preset that nobody uses asks for nothing.
    config_of(project, "kind: fake\npresets: {gpu: {size: '${env:PG_NO_SUCH}'}}\n")


def test_the_variables_that_a_value_mentions() -> None:
    value = {"a": ["${env:X}/${env:Y:-z}", 3], "b": {"c": "${secret:Z} $X"}}
    assert environment_names(value) == ["X", "Y"]


@pytest.mark.parametrize(
    ("held", "value"),
    [
        ("1e-3", 0.001),
        ("true", True),
        ("", None),
        ("a: b", "a: b"),
        ("[1, 2]", [1, 2]),
        ("[1, [2]]", "[1, [2]]"),
        ("{a: 1}", "{a: 1}"),
        ("[", "["),
    ],
)
def test_a_variable_alone_is_what_yaml_makes_of_it_but_no_tree(
    held: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_HELD", held)
    assert interpolated("${env:PG_HELD}", "x.yaml:1") == value
    assert interpolated(["a ${env:PG_HELD}"], "x.yaml:1") == [f"a {held}"]
