"""The view of running trials: plain lines for files, bars for a terminal."""

from __future__ import annotations

import io
from pathlib import Path

from test_plan import plan, provenance

from papergen.progress import BarView, PlainView, shown_fields, view_for
from papergen.records import Failure, Outcome, Result, Trial


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
        view.failed(second, Failure(rank=1, cause="ValueError: no", log="results/x/rank1.log"))
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


def test_numbers_are_short() -> None:
    assert shown_fields({"loss": 3.21456, "tokens_per_s": 51234.0}) == "loss 3.215  tokens_per_s 51,234"
