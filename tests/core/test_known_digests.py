"""A large input is hashed once, and again whenever it may have changed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from papergen.core import known_digests, remembered, unchanged
from papergen.core.files import digest_file, digest_json
from papergen.core.known_digests import LARGE_BYTES, known_digest, known_folder_digest


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file worth remembering, in a world where files rest at once."""
    monkeypatch.setenv("PAPERGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "RACY_NS", 0)
    new_command(monkeypatch)
    path = tmp_path / "大 data.bin"
    path.write_bytes(b"a" * LARGE_BYTES)
    time.sleep(0.01)  # older than the clock's tick
    return path


def new_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what this process knows, and go on as the next one."""
    known_digests.KNOWN.save()
    monkeypatch.setattr(known_digests, "KNOWN", known_digests.KnownDigests())


def refuse(path: Path) -> str:
    raise AssertionError(f"{path} was read again")


def test_an_unchanged_large_file_is_read_once_in_all_commands(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = digest_file(large)
    assert known_digest(large) == digest
    monkeypatch.setattr(known_digests, "digest_file", refuse)
    assert known_digest(large) == digest
    new_command(monkeypatch)
    assert known_digest(large) == digest
    monkeypatch.chdir(large.parent)
    assert known_digest(Path(large.name)) == digest


def test_a_change_is_seen_even_when_the_time_is_set_back(large: Path) -> None:
    before = large.stat()
    first = known_digest(large)
    large.write_bytes(b"b" * LARGE_BYTES)
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_digest(large) == digest_file(large) != first


def test_a_file_that_changed_just_now_is_not_believed(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "RACY_NS", 10**12)
    known_digest(large)
    new_command(monkeypatch)
    assert remembered.recall(known_digests.TOPIC) == {}


def test_small_files_are_not_remembered_and_a_missing_one_is_an_error(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = large.with_name("small")
    small.write_bytes(b"x")
    assert known_digest(small) == digest_file(small)
    new_command(monkeypatch)
    assert remembered.recall(known_digests.TOPIC) == {}
    with pytest.raises(FileNotFoundError):
        known_digest(large.with_name("none"))


def test_what_anybody_wrote_into_the_cache_is_no_harm(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known_digest(large)
    new_command(monkeypatch)
    (place,) = (large.parent / "cache").glob("*.json")
    for entry in (None, [], [1], [[], 5], "x"):
        place.write_text(json.dumps({"schema": remembered.SCHEMA, "kept": {str(large): entry}}), encoding="utf-8")
        monkeypatch.setattr(known_digests, "KNOWN", known_digests.KnownDigests())
        assert known_digest(large) == digest_file(large)


def test_a_folder_is_its_names_and_contents(large: Path) -> None:
    folder = large.parent / "model"
    (folder / "sub").mkdir(parents=True)
    os.link(large, folder / "weights")
    (folder / "sub" / "config").write_bytes(b"c")
    expected = digest_json([["sub/config", digest_file(folder / "sub" / "config")], ["weights", digest_file(large)]])
    assert known_folder_digest(folder) == known_folder_digest(folder) == expected
    (folder / "weights").rename(folder / "other")
    assert known_folder_digest(folder) != expected


def test_a_build_depends_on_a_file_whose_digest_was_remembered(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """build-pdf answers "nothing had changed" by the files that were read; this one is not opened."""
    known_digest(large)
    new_command(monkeypatch)
    monkeypatch.setattr(known_digests, "digest_file", refuse)
    project = large.parent / "project"
    project.mkdir()
    recorder = unchanged.Recorder(str(project))
    recorder.start()
    try:
        known_digest(large)
    finally:
        recorder.stop()
    assert recorder.seen[str(large)] == unchanged.stamp(str(large))
    assert not [path for path in recorder.seen if path.startswith(str(large.parent / "cache"))]
