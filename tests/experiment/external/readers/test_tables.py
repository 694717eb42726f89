"""CSV, JSON and JSONL become lines of typed columns, and a running program's file is followed line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.tables import (
    Follower,
    csv_lines,
    json_lines,
    jsonl_lines,
    read_lines,
    run_lines,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,x\n", [{"a": 1, "b": "x"}]),
        ("a;b\n1,5;2\n", [{"a": "1,5", "b": 2}]),
        ("a\tb\n1e-3\tTrue\n", [{"a": 0.001, "b": True}]),
        ('a,b\n"x, y",\n\n', [{"a": "x, y", "b": None}]),
        ("a\nnan\n", [{"a": pytest.approx(float("nan"), nan_ok=True)}]),
    ],
)
def test_csv_cells_are_typed(text: str, expected: object) -> None:
    assert csv_lines(text, "x.csv") == expected


def test_table_faults_name_the_line() -> None:
    for reader, text, message in [
        (csv_lines, "a,a\n1,2\n", "x:1: the column 'a' stands twice"),
        (csv_lines, "a,b\n1,2,3\n", "x:2: has 3 cells, the header 2"),
        (jsonl_lines, '{"a": 1}\n{"a": \n', "x:2: not valid JSON"),
        (jsonl_lines, "[1]\n", "x:1: expected an object"),
        (json_lines, "[1]", "x: expected an object or a list of objects"),
        (json_lines, '{"a": 1\n', "x:2: not valid JSON"),
    ]:
        with pytest.raises(PapergenError) as caught:
            reader(text, "x")
        assert message in str(caught.value)


def test_nested_objects_have_dotted_columns(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"val": {"acc": 1, "by": {"x": 2}}}, {"val": 3}]')
    assert read_lines(tmp_path / "a.json", "a.json") == [{"val.acc": 1, "val.by.x": 2}, {"val": 3}]


def test_an_ending_that_is_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(PapergenError, match=r"a.xls: ends in '.xls'. Known: .json, "):
        read_lines(tmp_path / "a.xls", "a.xls")


def test_lines_that_a_program_adds_come_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    follower = Follower(path, "log.jsonl")
    assert list(follower.new_lines()) == [], "the program has not begun to write"
    path.write_text('{"a": 1}\n{"a": ')
    assert list(follower.new_lines()) == [{"a": 1}]
    with path.open("a") as stream:
        stream.write('2}\n\n{"a": 3}')
    assert list(follower.new_lines()) == [{"a": 2}]
    assert list(follower.new_lines(is_over=True)) == [{"a": 3}]


def test_a_broken_line_of_a_followed_file_is_told_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n\n{"a": \n')
    with pytest.raises(PapergenError, match=r"log\.jsonl:3: not valid JSON"):
        list(Follower(tmp_path / "log.jsonl", "log.jsonl").new_lines())


def test_a_run_is_one_line_per_step_or_one_of_its_facts() -> None:
    assert run_lines("r", {"params.lr": 1}, {2.0: {"b": 1}, 1.0: {"a": 0}}) == [
        {"run": "r", "step": 1.0, "params.lr": 1, "a": 0},
        {"run": "r", "step": 2.0, "params.lr": 1, "b": 1},
    ]
    assert run_lines("r", {"params.lr": 1}, {}) == [{"run": "r", "params.lr": 1}]
    assert run_lines("r", {}, {}) == []
