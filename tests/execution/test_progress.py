"""The view of running trials: plain lines for files, bars for a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from plans import plan, provenance

from papergen.execution.progress import BarView, PlainView, shown_fields, view_for
from papergen.store.failures import Failure, FailureKind
from papergen.store.records import Outcome, Result, Trial


def result_of(trial: Trial) -> Result:
    return Result(trial=trial, outcome=Outcome(metrics={"score": 2.0}), provenance=provenance(), artifacts={})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_stream_decides() -> None:
    assert isinstance(view_for(3, stream=io.StringIO()), PlainView)
    assert isinstance(view_for(3, stream=Terminal()), BarView)


def test_plain_lines_say_start_end_and_cause(project: Path) -> None:
    first, second = plan(project)[:2]
    stream = io.StringIO()
    with view_for(2, stream=stream) as view:
        view.started(first)
        view.progress(first, {"done": 1, "total": 3, "fields": {"loss": 1.5}})  # too soon for another line
        view.finished(first, 1.25, result_of(first), "score 2")
        view.started(second)
        view.failed(second, Failure(kind=FailureKind.ERROR, rank=1, cause="ValueError: no", log="results/x/rank1.log"))
    assert stream.getvalue().splitlines() == [
        "start   first/small seed 0",
        "done    first/small seed 0  1.2 s  score 2  [1/2]",
        "start   first/large seed 0",
        "FAILED  first/large seed 0: rank 1: ValueError: no (log: results/x/rank1.log)  [2/2]",
    ]


def test_bars_leave_a_line_per_trial_and_no_markup(project: Path) -> None:
    (first, *_) = plan(project)
    stream = Terminal()
    with view_for(1, stream=stream) as view:
        view.started(first)
        view.progress(first, {"done": 1, "total": 3, "fields": {"tokens_per_s": 51234.0}})
        view.note("a [bold] note")
        view.finished(first, 2.0, result_of(first), "score [2]")
    text = stream.getvalue()
    assert "first/small seed 0" in text
    assert "score [2]" in text
    assert "a [bold] note" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_count_and_time_stay_however_narrow_the_terminal(
    project: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    first = replace(plan(project)[0], row="nucleus@top_p-0.95@temperature-0.7")
    fields = {"train_loss": 5.911, "learning_rate": 0.0024, "tokens_per_s": 2059.0, "gradient_norm": 1.0}
    stream = Terminal()
    with view_for(21, stream=stream) as view:
        view.started(first)
        view.progress(first, {"done": 1024, "total": 2048, "fields": fields})
    lines = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).splitlines() if "1024/2048" in line
    ]
    assert lines
    assert "━" in lines[-1]
    assert "-:--" in lines[-1]
    assert len(lines[-1].rstrip()) <= width
    assert ("train_loss" in lines[-1]) == (width == 200)


def test_numbers_are_short() -> None:
    assert shown_fields({"loss": 3.21456, "tokens_per_s": 51234.0}) == "loss 3.215  tokens_per_s 51\u2009234"
