"""Event files as TensorBoard 2.21 wrote them, whole, cut off and damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracker_files import event_file, scalar

from papergen.core.errors import PapergenError
from papergen.experiment.external.readers.tensorboard import tensorboard_lines

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "trackers" / "tensorboard"
EVENTS = next((GOLDEN / "run-seed1").iterdir())


def test_steps_are_lines_and_the_run_is_the_folder() -> None:
    lines = tensorboard_lines(EVENTS, GOLDEN)
    assert {line["run"] for line in lines} == {"run-seed1"}
    assert lines[0]["step"] == 0
    assert min(line["loss"] for line in lines if "loss" in line) == pytest.approx(0.2)


def test_a_file_that_was_made_here_reads_the_same(tmp_path: Path) -> None:
    path = event_file(tmp_path / "tfevents", [b"", scalar(3, b"loss", 0.5), scalar(4, b"loss", 0.25)])
    assert tensorboard_lines(path, tmp_path.parent) == [
        {"run": tmp_path.name, "step": 3.0, "loss": 0.5},
        {"run": tmp_path.name, "step": 4.0, "loss": 0.25},
    ]


def test_a_file_whose_writer_was_killed_lacks_its_last_record(tmp_path: Path) -> None:
    copy = tmp_path / EVENTS.name
    copy.write_bytes(EVENTS.read_bytes()[:-3])
    assert 0 < len(tensorboard_lines(copy, tmp_path)) <= len(tensorboard_lines(EVENTS, GOLDEN))


@pytest.mark.parametrize(("at", "what"), [(1, "the checksum of a record's length"), (-1, "a record's checksum")])
def test_a_flipped_bit_is_named(tmp_path: Path, at: int, what: str) -> None:
    data = bytearray(EVENTS.read_bytes())
    data[at] ^= 1
    (tmp_path / "tfevents").write_bytes(data)
    with pytest.raises(PapergenError, match=f"damaged at byte .*: {what} is wrong"):
        tensorboard_lines(tmp_path / "tfevents", tmp_path)


@pytest.mark.parametrize("body", [b"\x12\x01x", b"\x2f", b"\x2a\x7fx", b"\x28\x05"])
def test_records_of_another_kind_are_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(PapergenError, match="not a TensorBoard event file"):
        tensorboard_lines(event_file(tmp_path / "tfevents", [body]), tmp_path)
