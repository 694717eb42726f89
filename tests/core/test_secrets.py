"""A secret is known while a trial runs, and stands in no file, record or message."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import papergen
from fakes import FAKE_KIND

from papergen.core.errors import PapergenError
from papergen.core.secrets import missing_secrets, redacted, revealed, scrub, secret_names


def test_secrets_are_known_only_while_the_trial_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = FAKE_KIND.replace(
        "    exact: bool", '    token: str = Field(default="", description="A key.")\n    exact: bool'
    )
    kind = kind.replace('ctx.sample(text="a sample")', "ctx.sample(text=params.token)\n    print(params.token)")
    kind = kind.replace("    return {", "    if params.size == 5: raise ValueError(params.token)\n    return {")
    (project / "experiments" / "fake.py").write_text(kind)
    text = "kind: fake\ntoken: ${secret:PG_TOKEN}\nrows: {good: {}, bad: {size: 5}}\n"
    (project / "experiments" / "first.yaml").write_text(text)
    monkeypatch.delenv("PG_TOKEN", raising=False)
    missing = papergen("run-exp", cwd=project)
    assert missing.returncode == 2
    assert "PG_TOKEN: the experiments refer to this by ${secret:...}, and it is not set" in missing.stderr
    monkeypatch.setenv("PG_TOKEN", "hunter2-hunter2")
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 1
    assert "FAILED first/bad seed 0: ValueError: ${secret:PG_TOKEN}" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    written = [path for path in (project / "results").rglob("*") if path.is_file()]
    assert not [path for path in written if b"hunter2" in path.read_bytes()]
    (log,) = (project / "results" / "first").glob("good*/rank0.log")
    assert log.read_text() == "${secret:PG_TOKEN}\n"
    monkeypatch.setenv("PG_TOKEN", "another one")
    again = papergen("run-exp", "--only", "good", cwd=project)
    assert "Nothing to run" in again.stderr


@pytest.fixture
def params(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv("PG_KEY", "hunter2")
    monkeypatch.setenv("PG_LONG", "hunter2-hunter2")
    monkeypatch.setenv("PG_SHORT", "abc")
    monkeypatch.delenv("PG_NONE", raising=False)
    return {"a": "x ${secret:PG_KEY}", "b": [{"c": "${secret:PG_LONG}"}], "d": 3}


def test_references_are_found_filled_in_and_put_back(params: dict[str, object]) -> None:
    assert secret_names(params) == {"PG_KEY", "PG_LONG"}
    assert revealed(params) == {"a": "x hunter2", "b": [{"c": "hunter2-hunter2"}], "d": 3}
    text = "hunter2-hunter2 and hunter2"
    assert redacted(text, params) == "${secret:PG_LONG} and ${secret:PG_KEY}", "the longest first"


def test_what_is_not_set_or_could_not_be_kept_out_of_a_log_is_missing(params: dict[str, object]) -> None:
    wanted = ["${secret:PG_NONE}", "${secret:PG_SHORT}", params]
    assert missing_secrets(wanted) == ["PG_NONE", "PG_SHORT"]
    with pytest.raises(PapergenError, match="no variable PG_NONE of at least 4 characters"):
        revealed("${secret:PG_NONE}")


def test_the_text_files_of_a_trial_are_scrubbed(params: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rank0.log").write_bytes(b"\xff hunter2\n")
    (tmp_path / "weights.bin").write_bytes(b"hunter2")
    scrub(tmp_path, params)
    assert (tmp_path / "out" / "rank0.log").read_bytes() == b"\xff ${secret:PG_KEY}\n"
    assert (tmp_path / "weights.bin").read_bytes() == b"hunter2", "not a text: nothing of it is replaced"
    scrub(tmp_path / "none", params)
