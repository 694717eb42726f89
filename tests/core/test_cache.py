"""What was found out is asked for again whenever it may be another, and damage of the cache costs time alone."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from papergen.core import cache, files, stamps
from papergen.core.cache import LARGE_BYTES, Cache, known_digest, known_folder_digest, read_cached, write_cached
from papergen.core.files import digest_file, digest_json
from papergen.core.stamps import ReadLog, is_settled, settled_stamp, stamp_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test alone, in a world where files rest at once."""
    monkeypatch.setenv("PAPERGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stamps, "RACY_NS", 0)
    new_command(monkeypatch)
    yield tmp_path / "cache"
    cache.DIGESTS.save()


def new_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this process knows, and go on as the next one."""
    cache.DIGESTS.save()
    monkeypatch.setattr(cache, "DIGESTS", Cache("files", most=100))
    time.sleep(0.01)  # a file written before is older than the clock's tick


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file worth remembering."""
    path = tmp_path / "大 data.bin"
    path.write_bytes(b"a" * LARGE_BYTES)
    time.sleep(0.01)
    return path


def refuse(*_: object) -> Any:
    raise AssertionError("asked again")


def replace(path: Path, content: bytes) -> None:
    """Another content of the same size, with the time of the old one."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_stamp_sees_a_change_even_when_the_time_is_set_back(large: Path) -> None:
    before = stamp_of(large)
    assert stamp_of(large) == before == json.loads(json.dumps(before))
    replace(large, b"b" * LARGE_BYTES)
    assert stamp_of(large) != before
    assert stamp_of(large.with_name("none")) == stamp_of("a\0b") == []


def test_a_file_that_changed_a_moment_ago_has_no_stamp_to_rely_on(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "RACY_NS", 2_000_000_000)
    found, now = stamp_of(large), time.time_ns()
    assert not is_settled(found, read_ns=now)
    assert settled_stamp(large, read_ns=now) != found
    assert is_settled(found, read_ns=now + 3_000_000_000)
    assert settled_stamp(large, read_ns=now + 3_000_000_000) == found
    assert is_settled([], read_ns=now), "a file that is not there has no other version"


def test_an_unchanged_large_file_is_read_once_in_all_commands(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_file(large)
    assert known_digest(large) == digest
    monkeypatch.setattr(files, "digest_file", refuse)
    assert known_digest(large) == digest
    new_command(monkeypatch)
    assert known_digest(large) == digest
    monkeypatch.chdir(large.parent)
    assert known_digest(Path(large.name)) == digest


def test_a_changed_large_file_is_read_again(large: Path) -> None:
    first = known_digest(large)
    replace(large, b"b" * LARGE_BYTES)
    assert known_digest(large) == digest_file(large) != first


def test_small_files_are_not_remembered_and_a_missing_one_is_an_error(large: Path, folder: Path) -> None:
    small = large.with_name("small")
    small.write_bytes(b"x")
    assert known_digest(small) == digest_file(small)
    cache.DIGESTS.save()
    assert not folder.exists()
    with pytest.raises(FileNotFoundError):
        known_digest(large.with_name("none"))


def test_a_folder_is_its_names_and_contents(large: Path) -> None:
    model = large.parent / "model"
    (model / "sub").mkdir(parents=True)
    os.link(large, model / "weights")
    (model / "sub" / "config").write_bytes(b"c")
    expected = digest_json([["sub/config", digest_file(model / "sub" / "config")], ["weights", digest_file(large)]])
    assert known_folder_digest(model) == known_folder_digest(model) == expected
    (model / "weights").rename(model / "other")
    assert known_folder_digest(model) != expected


def asked(topic: str = "numbers", **options: Any) -> Callable[..., Any]:
    """A new process's way to ask for the content of files, which counts how often it reads them."""
    own = Cache(topic, most=options.pop("most", 10), **options)

    def ask(*paths: Path, more: tuple[Path, ...] = ()) -> Any:
        ask.calls = 0  # type: ignore[attr-defined]

        def find() -> tuple[Any, tuple[Path, ...]]:
            ask.calls += 1  # type: ignore[attr-defined]
            return [path.read_text() for path in paths], more

        found = own.answer("content", paths, find)
        own.save()
        return found, ask.calls  # type: ignore[attr-defined]

    return ask


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("one")
    time.sleep(0.01)
    return path


def test_an_answer_is_found_once_and_again_when_any_file_behind_it_changed(small: Path) -> None:
    other = small.with_name("other")
    assert asked()(small, more=(other,)) == (["one"], 1)
    assert asked()(small) == (["one"], 0)
    other.write_text("appeared")
    time.sleep(0.01)
    assert asked()(small, more=(other,)) == (["one"], 1)
    assert asked()(small) == (["one"], 0)
    replace(small, b"two")
    assert asked()(small) == (["two"], 1)


def test_another_version_starts_anew(small: Path) -> None:
    assert asked()(small) == (["one"], 1)
    assert asked(version=lambda: 2)(small) == (["one"], 1)


def test_what_was_asked_for_the_longest_ago_goes_first(small: Path) -> None:
    names = [small.with_name(name) for name in "bcd"]
    for path in names:
        path.write_text("x")
    time.sleep(0.01)
    for path in (*names, names[0]):
        asked(most=2)(path)
    assert [asked(most=2)(path)[1] for path in (names[0], names[2])] == [0, 0]
    assert asked(most=2)(names[1])[1] == 1


def test_an_answer_about_what_has_not_rested_is_not_kept(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "RACY_NS", 10**12)
    ask = asked()
    assert [ask(small), ask(small)] == [(["one"], 1)] * 2


def test_an_answer_about_a_file_that_changes_while_it_is_read_is_not_kept(small: Path) -> None:
    own = Cache("changing", most=10)

    def find() -> tuple[str, tuple[Path, ...]]:
        text = small.read_text()
        small.write_text("another text")
        return text, ()

    assert own.answer("text", [small], find) == "one"
    assert own.answer("text", [small], lambda: (small.read_text(), ())) == "another text"


def test_two_commands_at_once_keep_what_both_found(small: Path) -> None:
    other = small.with_name("b.txt")
    other.write_text("b")
    time.sleep(0.01)
    first, second = asked(), asked()
    first(small), second(other)
    third = asked()
    assert (third(small)[1], third(other)[1]) == (0, 0)


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[:-5],
    "not UTF-8": lambda data: data[:-4] + b"\xff\xfe{}",
    "another shape, well-formed": lambda data: data.split(b"\n")[0] + b'\n{"content": 5}',
    "a list": lambda data: data.split(b"\n")[0] + b"\n[]",
    "deeply nested": lambda data: data.split(b"\n")[0] + b"\n" + b"[" * 100_000,
    "json alone": lambda data: data.split(b"\n", 1)[1],
    "another answer": lambda data: data.replace(b"one", b"two"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_costs_time_only(damage: str, small: Path, folder: Path) -> None:
    asked()(small)
    (path,) = folder.iterdir()
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert asked()(small) == (["one"], 1)
    assert asked()(small) == (["one"], 0), "the next command has a whole file again"


def test_a_cache_that_cannot_be_written_or_read_costs_time_only(small: Path, folder: Path) -> None:
    folder.write_text("no folder")
    assert asked()(small) == (["one"], 1)
    assert asked()(small) == (["one"], 1)
    folder.unlink()
    (folder / "numbers.json").mkdir(parents=True)
    assert asked()(small) == (["one"], 1)


def test_a_file_of_the_cache_that_nobody_wrote_for_months_is_deleted(small: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "old.json").write_text("{}")
    os.utime(folder / "old.json", (0, 0))
    asked()(small)
    assert [path.name for path in folder.iterdir()] == ["numbers.json"]


def test_a_name_that_is_no_text_survives(tmp_path: Path) -> None:
    write_cached(tmp_path / "x", {"\udcff": [1.5, None, "中"]}, version=3)
    assert read_cached(tmp_path / "x", version=3) == {"\udcff": [1.5, None, "中"]}
    assert read_cached(tmp_path / "x", version=4) is None
    assert read_cached(tmp_path / "none") is None


def test_a_build_depends_on_a_file_whose_answer_was_remembered(
    large: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """build-pdf answers "nothing had changed" by the files that were read; this one is not opened."""
    known_digest(large)
    new_command(monkeypatch)
    monkeypatch.setattr(files, "digest_file", refuse)
    log = ReadLog(own=str(large.parent / "build"))
    log.start()
    try:
        known_digest(large)
    finally:
        log.stop()
    assert log.stamps == {str(large): stamp_of(large)}, "and not on the cache"


def test_what_cannot_be_written_is_not_kept_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    write_cached(tmp_path / "build" / "x", [1])
    assert read_cached(tmp_path / "build" / "x") is None
    assert not list((tmp_path / "build").iterdir())
