"""What was read of code is not read again while it is the same, and is read again whenever it may not be."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from papergen.core import stamps
from papergen.core.cache import Cache
from papergen.core.stamps import ReadLog, stamp_of
from papergen.experiment.fingerprint import code_behind, digest, locate

KIND = "import helper\nclass Params: pass\nMETRICS = ()\ndef run(params, ctx):\n    return helper.f()\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone, in a world where files rest at once."""
    monkeypatch.setenv("PAPERGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stamps, "RACY_NS", 0)
    new_process(monkeypatch)
    return tmp_path / "cache"


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process knows; what is on the disk stays."""
    digest.ANSWERS.save()
    locate.VERSIONS.save()
    monkeypatch.setattr(digest, "ANSWERS", Cache("code", most=800, version=digest._makers))
    monkeypatch.setattr(locate, "VERSIONS", Cache("versions", most=800))
    locate._version.cache_clear()
    time.sleep(0.01)  # a file written before is older than the clock's tick


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/kind.py").write_text(KIND)
    (tmp_path / "helper.py").write_text("def f(): return 1\n")
    time.sleep(0.01)
    return tmp_path


def files(project: Path) -> dict[str, str]:
    return dict(code_behind(project / "experiments/kind.py", project).files)


def refuse(*_: object) -> None:
    raise AssertionError("the file was read again")


def test_nothing_is_parsed_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(project)
    new_process(monkeypatch)
    monkeypatch.setattr(digest, "parsed", refuse)
    monkeypatch.setattr(digest, "read_source", refuse)
    assert files(project) == before


@pytest.mark.parametrize("name", ["helper.py", "experiments/kind.py"])
def test_an_edit_of_equal_size_and_time_is_seen(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, path = files(project), project / name
    status = path.stat()
    path.write_text(path.read_text().replace("return 1", "return 2").replace("helper.f()", "helper.g()"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    new_process(monkeypatch)
    assert path.stat().st_size == status.st_size
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    now = files(project)
    assert {key for key in before if before[key] != now[key]} == {name}


def test_a_new_file_that_is_found_first_is_seen(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(project)
    (project / "experiments/helper.py").write_text("def f(): return 2\n")
    new_process(monkeypatch)
    assert set(files(project)) - set(before) == {"experiments/helper.py"}


def test_another_python_starts_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(project)
    new_process(monkeypatch)
    monkeypatch.setattr(sys, "version", "another")
    monkeypatch.setattr(digest, "parsed", refuse)
    with pytest.raises(AssertionError, match="read again"):
        files(project)


def distribution(site: Path, version: str) -> None:
    """An installed library `my_lib` under the name `my-distribution`."""
    for old in site.glob("*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    folder = site / f"my_distribution-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my-distribution\nVersion: {version}\n")
    (folder / "top_level.txt").write_text("my_lib\n")


def test_versions_of_libraries_are_looked_up_once_and_again_when_one_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [str(site)])

    def version() -> str:
        new_process(monkeypatch)
        return locate.versions({"my_lib"}).get("my_lib", "none")

    assert version() == "none"
    distribution(site, "1.0")
    assert version() == "1.0"
    with monkeypatch.context() as patch:
        patch.setattr(locate, "_installed", refuse)
        assert version() == "1.0"
    distribution(site, "2.0")
    assert version() == "2.0"
    (site / "my_distribution-2.0.dist-info/METADATA").write_text("Name: my-distribution\nVersion: 2.0.1\n")
    assert version() == "2.0.1"


def test_what_is_remembered_is_still_what_a_build_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build-pdf with nothing to do must see a change of code that no process opened since it was remembered."""
    library = project.parent / f"{project.name} library"
    library.mkdir()
    (library / "far_lib.py").write_text("def f(): return 1\n")
    (project / "helper.py").write_text("from far_lib import f\n")
    monkeypatch.syspath_prepend(library)
    locate._source_of_library.cache_clear()
    time.sleep(0.01)
    before = files(project)
    assert [name for name in before if name.endswith("far_lib.py")]
    new_process(monkeypatch)
    log = ReadLog(own=str(project / "build"))
    log.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(digest, "read_source", refuse)
            assert files(project) == before
    finally:
        log.stop()
        locate._source_of_library.cache_clear()
    assert log.stamps[str(library / "far_lib.py")] == stamp_of(library / "far_lib.py")
    assert not [path for path in log.stamps if path.endswith("code.json")]
