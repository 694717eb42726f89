"""Files appear whole or not at all; damage and full disks are named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papergen.core.errors import MachineError, PapergenError, ResultError, counted, did_you_mean, gathered
from papergen.core.files import (
    canonical_json,
    last_lines,
    read_json,
    read_text,
    slug,
    write_atomic,
    write_json,
)


def test_a_count_agrees_with_its_noun() -> None:
    assert counted(1, "page") == "1 page"
    assert counted(0, "page") == "0 pages"
    assert counted(2, "LaTeX pass", "LaTeX passes") == "2 LaTeX passes"


def test_of_few_names_only_one_that_is_much_alike_is_offered() -> None:
    assert did_you_mean("nope", ["fair", "loaded"]) == "Known: fair, loaded."
    assert did_you_mean("laoded", ["fair", "loaded"]) == "Did you mean loaded?"
    assert did_you_mean("x", []) == ""


def test_write_replaces_whole_content(odd_path: Path) -> None:
    target = odd_path / "a b" / "结果.json"
    write_json(target, {"b": 1, "a": "中"})
    assert read_json(target) == {"a": "中", "b": 1}
    write_atomic(target, "{}")
    assert target.read_text() == "{}"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    write_atomic(target, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError, match="the disk is full") as caught:
        write_atomic(target, "new")
    assert caught.value.exit_code == 3
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nan_is_never_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_damaged_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1,\n"b": }')
    with pytest.raises(PapergenError, match=r"x\.json:2: not valid JSON"):
        read_json(path)


def test_canonical_json_does_not_depend_on_order() -> None:
    assert (
        canonical_json({"b": [1, 2.5], "a": "é"})
        == canonical_json({"a": "é", "b": [1, 2.5]})
        == '{"a":"é","b":[1,2.5]}'
    )


@given(st.text(max_size=40))
def test_slug_is_safe_for_files_and_tex(text: str) -> None:
    assert slug(text)
    assert set(slug(text)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_errors_are_short_and_keep_their_exit_code() -> None:
    assert len(str(PapergenError("\n".join(map(str, range(100))))).splitlines()) == 25
    both = gathered([ResultError("one"), ResultError("two")], "faults")
    assert both.exit_code == 1
    assert str(both) == "2 faults:\none\ntwo"
    assert did_you_mean("num_beems", ["num_beams", "top_p"]) == "Did you mean num_beams?"
    assert did_you_mean("zzz", ["num_beams", "top_p"]) == "Known: num_beams, top_p."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "标题\n作者：李明\n".encode("gb18030"),
            "a.yaml:1: not UTF-8 text. Save the file as UTF-8. It seems to be GB18030",
        ),
        (
            "title: x\nname: 王芳\n".encode("gbk"),
            "a.yaml:2: not UTF-8 text. Save the file as UTF-8. It seems to be GB18030",
        ),
        ("标题\n".encode("utf-16"), "a.yaml:1: not UTF-8 text. Save the file as UTF-8. It seems to be UTF-16"),
        ("a\nb\ncafé olé\n".encode("latin-1"), "a.yaml:3: not UTF-8 text. Save the file as UTF-8."),
    ],
)
def test_a_file_that_is_not_utf8_is_told_with_its_line_and_likely_encoding(
    tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(PapergenError) as caught:
        read_text(tmp_path / "a.yaml", "a.yaml")
    assert str(caught.value).startswith(says)
    assert ("iconv -f ENCODING -t UTF-8" in str(caught.value)) == ("seems" not in says)


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfkind: x\r\nb\r\n")
    assert read_text(tmp_path / "a", "a") == "kind: x\nb\n"


def test_the_end_of_a_huge_log_is_read_without_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "rank0.log"
    assert last_lines(log) == []
    log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(100_000)))
    assert last_lines(log, 2) == ["line 99998 \N{REPLACEMENT CHARACTER}", "line 99999 \N{REPLACEMENT CHARACTER}"]
    assert len(last_lines(log, 1000, num_bytes=64)) < 10
