"""Run files as W&B 0.31 wrote them offline, whole, cut off and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.wandb import wandb_lines

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "trackers" / "wandb"
RUN = min(GOLDEN.rglob("*.wandb"))


def test_steps_are_lines_with_the_config() -> None:
    found = [line for path in GOLDEN.rglob("*.wandb") for line in wandb_lines(path)]
    assert {line["params.seed"] for line in found} == {0, 1}
    assert {line["params.opt.lr"] for line in found} == {0.1}
    assert all("loss" in line and "step" in line for line in found)


def test_a_file_whose_writer_was_killed_lacks_its_last_record(tmp_path: Path) -> None:
    copy = tmp_path / RUN.name
    copy.write_bytes(RUN.read_bytes()[:-3])
    assert 0 < len(wandb_lines(copy)) <= len(wandb_lines(RUN))


def test_a_flipped_bit_is_named(tmp_path: Path) -> None:
    data = bytearray(RUN.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x.wandb").write_bytes(data)
    with pytest.raises(PapergenError, match="damaged at byte"):
        wandb_lines(tmp_path / "x.wandb")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.wandb").write_text("hello")
    with pytest.raises(PapergenError, match="not a W&B run file"):
        wandb_lines(tmp_path / "x.wandb")
