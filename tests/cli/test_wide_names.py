"""Tables on the terminal with Chinese names: the columns behind the names begin at one place."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from papergen.cli.main import cli
from papergen.paper.scaffold import scaffold


@pytest.mark.parametrize("command", [["status"], ["run-exp", "--dry-run"]])
def test_digests_stand_below_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    root = scaffold(tmp_path / "中文", experiments=["training"], language="zh")
    (root / "experiments" / "training.yaml").unlink()
    rows = "rows:\n  单进程: {world_size: 1}\n  ddp: {world_size: 2}\n"
    (root / "experiments" / "训练.yaml").write_text(f"kind: training\n{rows}", encoding="utf-8")
    monkeypatch.chdir(root)
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if " seed 0 " in line]
    assert len(lines) == 2
    starts = {
        cell_len(line) - cell_len(line[line.index(" seed 0 ") :].removeprefix(" seed 0 ").lstrip()) for line in lines
    }
    assert len(starts) == 1
