"""An error keeps its class, its hint and its exit code when it is told at a place or among others."""

from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest

from papergen.core.errors import (
    DiskFullError,
    InvalidParametersError,
    MachineError,
    PapergenError,
    ParameterFault,
    ResultError,
    gathered,
    misspelt,
)
from papergen.core.files import disk_error


class OfTwoNumbersError(MachineError):
    """Made of other things than a message, as TexError is."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} is not {other}.", hint=f"Write {other}.")
        self.numbers = one, other


def test_an_error_is_told_at_its_place_whatever_it_is_made_of() -> None:
    error = OfTwoNumbersError(1, 2)
    assert error.at("experiments/a.yaml:3") is error
    assert str(error) == "experiments/a.yaml:3: 1 is not 2.\nWrite 2."
    assert error.numbers == (1, 2)
    assert str(error.at("paper")) == "paper: experiments/a.yaml:3: 1 is not 2.\nWrite 2."


def test_several_faults_are_one_error_that_ends_as_the_first_would() -> None:
    both = gathered([OfTwoNumbersError(1, 2), "and this"], "faults")
    assert isinstance(both, MachineError)
    assert str(both) == "2 faults:\n1 is not 2.\nWrite 2.\nand this"
    assert isinstance(gathered([ResultError("a"), "b"], "faults"), ResultError)
    assert type(gathered(["a", ResultError("b")], "faults")) is PapergenError


def test_one_fault_stays_what_it_is() -> None:
    error = OfTwoNumbersError(1, 2)
    assert gathered([error], "faults") is error
    assert str(gathered(["alone"], "faults")) == "alone"


def test_a_full_disk_is_known_by_its_class() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        assert isinstance(disk_error(OSError(number, "full"), Path("a")), DiskFullError)
    assert not isinstance(disk_error(PermissionError(errno.EACCES, "no"), Path("a")), DiskFullError)


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("scor", ["score"], "score"),
        ("is_seed", ["is_seeded"], "is_seeded"),
        ("rep_2", ["rep_3"], ""),
        ("NDCG", ["ndcg"], "ndcg"),
    ],
)
def test_a_misspelt_name_is_told_from_another_name(word: str, known: list[str], found: str) -> None:
    assert misspelt(word, known) == found


def test_two_metrics_of_a_sort_are_not_each_others_misspelling() -> None:
    assert misspelt("communication_ms", ["validation_loss", "train_loss"]) == ""


def test_faults_of_parameters_keep_what_they_are_about_from_process_to_process() -> None:
    error = InvalidParametersError(ParameterFault("No.", "size", "rate"), ParameterFault("Nor this."))
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults
    assert again.faults[0].parameters == ("size", "rate")
    assert str(again) == "No.\nNor this."
