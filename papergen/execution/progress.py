"""What a person sees while trials run: live bars on a terminal, plain lines elsewhere. Progress goes to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, Self, TextIO

from papergen.core.numbers import short
from papergen.store.failures import Failure
from papergen.store.records import Result, Trial

PLAIN_EVERY_S = 10.0
"""Seconds between two lines about one trial when standard error is not a terminal."""

LEFT_FROM_S = 5.0
"""Less time left is not worth a word."""


class ProgressView(Protocol):
    """Something that shows how far the trials are."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def started(self, trial: Trial) -> None:
        """The trial's ranks have been asked for."""

    def progress(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """`data` holds done, total and fields (loss, tokens_per_s ...)."""

    def finished(self, trial: Trial, seconds: float, result: Result, summary: str) -> None:
        """The trial's result is published; `summary` are its first metrics."""

    def failed(self, trial: Trial, failure: Failure) -> None:
        """The trial ended without a result."""

    def retried(self, trial: Trial, failure: Failure, attempt: int, retries: int) -> None:
        """The trial failed by what may pass, and is tried again."""

    def logged(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """A point of the trial's curves: step and metrics."""

    def note(self, text: str) -> None:
        """One line for the reader."""


def view_for(total: int, *, stream: TextIO | None = None) -> ProgressView:
    """Bars when `stream` (stderr by default) is a terminal, else plain lines; `total` trials are to run."""
    target = sys.stderr if stream is None else stream
    return BarView(total, target) if target.isatty() and os.environ.get("TERM") != "dumb" else PlainView(total, target)


def shown_duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def shown_fields(fields: Mapping[str, float]) -> str:
    """`loss 3.214  tokens_per_s 51 203`."""
    return "  ".join(f"{name} {short(value)}" for name, value in fields.items())


def _cause(failure: Failure) -> str:
    rank = "" if failure.rank is None else f"rank {failure.rank}: "
    return f"{rank}{failure.cause}" + (f" (log: {failure.log})" if failure.log else "")


class PlainView:
    """One line when a trial starts, every few seconds, and when it ends."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total, self._stream, self._ended = total, stream, 0
        self._began = time.monotonic()
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def started(self, trial: Trial) -> None:
        """Say that the trial starts."""
        self._last[trial.digest] = time.monotonic()
        self.note(f"start   {trial.label}")

    def progress(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """Say how far it is, at most every `PLAIN_EVERY_S` seconds."""
        now = time.monotonic()
        if now - self._last.get(trial.digest, 0.0) >= PLAIN_EVERY_S:
            self._last[trial.digest] = now
            self.note(f"        {trial.label}: {data['done']}/{data['total']}  {shown_fields(data['fields'])}")

    def finished(self, trial: Trial, seconds: float, result: Result, summary: str) -> None:
        """Say that it is done, and its first metrics."""
        self._ended += 1
        self.note(f"done    {trial.label}  {seconds:.1f} s  {summary}  {self._place()}")

    def failed(self, trial: Trial, failure: Failure) -> None:
        """Say that it failed, and why."""
        self._ended += 1
        self.note(f"FAILED  {trial.label}: {_cause(failure)}  {self._place()}")

    def retried(self, trial: Trial, failure: Failure, attempt: int, retries: int) -> None:
        """Say why it is tried again."""
        self.note(f"retry   {trial.label}: {_cause(failure)}  (retry {attempt} of {retries})")

    def logged(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """Curves are not for lines."""

    def _place(self) -> str:
        """`[3/40, about 12 min left]`."""
        passed = time.monotonic() - self._began
        left = passed / self._ended * (self._total - self._ended)
        about = f", about {shown_duration(left)} left" if left >= LEFT_FROM_S else ""
        return f"[{self._ended}/{self._total}{about}]"

    def note(self, text: str) -> None:
        """One line."""
        print(text, file=self._stream, flush=True)


class BarView:
    """A bar over all trials and one for each trial under way, with its latest fields and the time left.

    On a narrow terminal the fields are cut first, then names; count and time stay.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._console = Console(file=stream)
        width = self._console.width
        bar_width = max(4, min(24, width // 5))
        name_width = max(8, width - bar_width - 20)  # a count such as 1024/2048, the time, and spaces
        self._progress = Progress(
            TextColumn(
                "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=name_width)
            ),
            BarColumn(bar_width=bar_width),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn(
                "{task.fields[detail]}", style="dim", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
            ),
            expand=True,
            console=self._console,
            refresh_per_second=5,
            transient=True,
            speed_estimate_period=3600,
        )
        self._overall = self._progress.add_task("[bold]trials[/bold]", total=total, detail="")
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, trial: Trial) -> None:
        """Add the trial's bar."""
        from rich.markup import escape

        self._tasks[trial.digest] = self._progress.add_task(escape(trial.label), total=None, detail="starting")

    def progress(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """Move the trial's bar."""
        self._progress.update(
            self._tasks[trial.digest], completed=data["done"], total=data["total"], detail=shown_fields(data["fields"])
        )

    def finished(self, trial: Trial, seconds: float, result: Result, summary: str) -> None:
        """Print the trial's line and take its bar away."""
        self._end(trial, "[green]done[/green]", f"{seconds:.1f} s  {summary}")

    def failed(self, trial: Trial, failure: Failure) -> None:
        """Print why it failed and take its bar away."""
        self._end(trial, "[bold red]FAILED[/bold red]", _cause(failure))

    def retried(self, trial: Trial, failure: Failure, attempt: int, retries: int) -> None:
        """Print why it is tried again; a new bar comes with the next attempt."""
        self.note(f"retry {attempt} of {retries}  {trial.label}  {_cause(failure)}")
        self._progress.remove_task(self._tasks.pop(trial.digest))

    def logged(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """The bar shows what comes with its progress."""

    def note(self, text: str) -> None:
        """One line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def _end(self, trial: Trial, word: str, detail: str) -> None:
        from rich.markup import escape

        self._console.print(f"{word}  {escape(trial.label)}  [dim]{escape(detail)}[/dim]", highlight=False)
        self._progress.remove_task(self._tasks.pop(trial.digest))
        self._progress.advance(self._overall)


class JsonView:
    """One JSON object per line for scripts: event, trial, digest, and what the event tells."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total, self._stream, self._ended = total, stream, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def started(self, trial: Trial) -> None:
        """`started`."""
        self._tell("started", trial, seed=trial.seed, num_ranks=trial.num_ranks)

    def progress(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """`progress` with done, total and fields."""
        self._tell("progress", trial, **data)

    def logged(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """`log` with step and metrics."""
        self._tell("log", trial, **data)

    def finished(self, trial: Trial, seconds: float, result: Result, summary: str) -> None:
        """`finished` with all metrics."""
        self._ended += 1
        self._tell("finished", trial, duration_s=seconds, metrics=dict(result.outcome.metrics), **self._counts())

    def failed(self, trial: Trial, failure: Failure) -> None:
        """`failed` with the cause."""
        self._ended += 1
        told = {
            "failure_kind": failure.kind,
            "rank": failure.rank,
            "cause": failure.cause,
            "traceback": failure.traceback,
            "log": failure.log,
        }
        self._tell("failed", trial, **told, **self._counts())

    def retried(self, trial: Trial, failure: Failure, attempt: int, retries: int) -> None:
        """`retried` with the cause."""
        self._tell("retried", trial, failure_kind=failure.kind, cause=failure.cause, attempt=attempt, retries=retries)

    def note(self, text: str) -> None:
        """`note`."""
        self._tell("note", None, text=text)

    def _counts(self) -> dict[str, int]:
        return {"num_ended": self._ended, "num_trials": self._total}

    def _tell(self, event: str, trial: Trial | None, **data: Any) -> None:
        about = {} if trial is None else {"trial": trial.label, "digest": trial.digest}
        print(json.dumps({"event": event, **about, **data}, ensure_ascii=False), file=self._stream, flush=True)
