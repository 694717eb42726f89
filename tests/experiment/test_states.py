"""How things stand with a trial, and why a result is stale, in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FAKE_KIND
from plans import finish, plan, provenance

from papergen.core.errors import PapergenError
from papergen.core.files import write_json
from papergen.experiment.states import assess, differences
from papergen.store.records import Outcome
from papergen.store.runs import Store


def test_states_and_why_a_result_is_stale(project: Path) -> None:
    store = Store(project)
    first = plan(project)[0]
    finish(store, first)
    states = {item.trial.label: item.state for item in assess(store, plan(project))}
    assert states["first/small seed 0"] == "finished"
    assert states["first/small seed 1"] == "pending"
    changed = assess(store, plan(project, overrides=["first.rate=0.25"]))[0]
    assert (changed.state, changed.reason) == ("stale", "rate 0.001 -> 0.25")
    (project / "experiments" / "fake.py").write_text(FAKE_KIND.replace("FACTOR = 2", "FACTOR = 3"))
    edited = assess(store, plan(project))[0]
    assert (edited.state, edited.reason) == ("stale", "code: experiments/fake.py changed")


def test_a_parameter_that_the_kind_got_later_is_said_to_be_new() -> None:
    old = {"params": {"size": 1, "model": None, "gone": 3}}
    new = {"params": {"size": 1, "model": {"lr": 2}, "world_size": 1, "cap": None}}
    assert differences(old, new) == [
        "cap = None is a parameter that the result did not have yet",
        "gone = 3 is no parameter any more",
        "model.lr None -> 2",
        "world_size = 1 is a parameter that the result did not have yet",
    ]


def test_damaged_result_is_set_aside_and_named(project: Path) -> None:
    store = Store(project)
    trial = plan(project)[0]
    finish(store, trial, score=0.5)
    path = store.run(trial).result_file
    path.write_text(path.read_text().replace("0.5", "0.9"))
    with pytest.raises(PapergenError, match="damaged or edited by hand"):
        store.load(trial)
    assert not store.is_finished(trial)
    assert len(list((project / "results" / ".damaged").iterdir())) == 1


def test_result_survives_the_round_trip(project: Path) -> None:
    store = Store(project)
    trial = plan(project)[1]
    run = store.begin(trial)
    (run.folder / "model").mkdir()
    (run.folder / "model" / "weights.bin").write_bytes(b"123")
    write_json(run.outcome_file, {"metrics": {"score": None}, "series": {"loss": [[0, 1.5]]}})
    store.publish(trial, provenance())
    result = store.load(trial)
    assert result is not None
    assert result.trial == trial
    assert result.outcome == Outcome(metrics={"score": None}, series={"loss": [[0, 1.5]]})  # type: ignore[list-item]
    assert list(result.artifacts) == ["model/weights.bin"]
    assert not store.attempt(trial).folder.exists()


def test_of_many_changed_files_a_few_are_named_and_the_others_counted() -> None:
    old = {"code": {f"papergen/ml/{name}.py": "1" for name in "abcdef"}}
    new = {"code": {f"papergen/ml/{name}.py": "2" for name in "abcdef"}}
    assert differences(old, new) == [f"code: papergen/ml/{name}.py changed" for name in "abcd"] + ["code: 2 more files"]
