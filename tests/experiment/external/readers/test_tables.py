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
    tsv_lines,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,x\n", [{"a": "1", "b": "x"}]),
        ("a;b\n1,5;2\n", [{"a": "1,5", "b": "2"}]),
        ("a\tb\n1e-3\tTrue\n", [{"a": "1e-3", "b": "True"}]),
        ('a,b\n"x, y",\n\n', [{"a": "x, y", "b": None}]),
        ('a,"b; c; d"\n1,2\n', [{"a": "1", "b; c; d": "2"}]),
        ("sep=;\na;b,c\n1;2\n", [{"a": "1", "b,c": "2"}]),
        ("sep=\t\r\na\tb\r\n1\t2\r\n", [{"a": "1", "b": "2"}]),
        ("a; b, c\n1,2\n", [{"a; b": "1", "c": "2"}]),
        ("text,n\n" + "x" * 140_000 + ",1\n", [{"text": "x" * 140_000, "n": "1"}]),
        ("a,b\n1,2\n,\n3,4\n,\n,\n", [{"a": "1", "b": "2"}, {"a": None, "b": None}, {"a": "3", "b": "4"}]),
        ("a\n1\n\n0\n\n", [{"a": "1"}, {"a": None}, {"a": "0"}]),
    ],
)
def test_csv_cells_stay_text_and_the_separator_is_the_one_that_fits(text: str, expected: object) -> None:
    assert csv_lines(text, "x.csv") == expected


def test_a_tsv_has_tabs_whatever_its_header_holds() -> None:
    assert tsv_lines("m\tacc, top-1, pct\na\t1\n", "x.tsv") == [{"m": "a", "acc, top-1, pct": "1"}]


def test_a_line_knows_where_it_begins() -> None:
    lines = csv_lines('sep=,\na,b\n"two\nlines",1\n\nx,2\n', "x.csv")
    assert [line.place for line in lines] == ["x.csv:3", "x.csv:6"]


def test_table_faults_name_the_line_and_what_to_type() -> None:
    for reader, text, message in [
        (csv_lines, "a,a\n1,2\n", "x:1: the column 'a' stands twice. Give one of them another name."),
        (csv_lines, "a,b\n1,2,3\n", "x:2: has 3 cells, the header 2. A cell that holds ',' stands in quotation marks."),
        (csv_lines, "a,b\n1,2\n1\n", "x:3: has 1 cell, the header 2. An empty cell needs its separator"),
        (tsv_lines, "a\tb\n1\n", "x:2: has 1 cell, the header 2. An empty cell needs its separator (a tab) too"),
        (csv_lines, 'a,b\n1,2\n"5 inch,1\nx,0\n', 'x:3: a quotation mark (") begins a cell here and no other ends'),
        (csv_lines, 'a,b\n"5 inch,1\nb,"6 inch,1\n', "x:2: text follows the closing quotation mark of a cell (line 2"),
        (csv_lines, "a,b;c\n1,2;3\n", "x:1: commas or semicolons may separate the cells. Write a line above"),
        (jsonl_lines, '{"a": 1}\n{"a": \n', "x:2: not valid JSON"),
        (jsonl_lines, "[1]\n", "x:1: expected an object"),
        (jsonl_lines, '{"a": 1}\n{"a": 1, "a": 2}\n', "x:2: the key 'a' stands twice in one object."),
        (jsonl_lines, '{"a": {"b": 1}, "a.b": 2}', "x:1: 'a.b' stands twice, as a key and as a path of keys"),
        (json_lines, "[1]", "x: expected an object or a list of objects"),
        (json_lines, '{"a": 1\n', "x:2: not valid JSON"),
        (json_lines, '[{"a": ["a", {"a": "}"}]},\n {"b": {"c": 1,\n "c": 1}}]', "x:3: the key 'c' stands twice"),
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
