"""What a person sees while trials run: live bars on a terminal, plain lines elsewhere. Progress goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol, Self, TextIO

from papergen.records import Failure, Trial

PLAIN_EVERY_S = 10.0
"""Seconds between two lines about one trial when standard error is not a terminal."""


class View(Protocol):
    """Something that shows how far the trials are."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def started(self, trial: Trial) -> None:
        """The trial's ranks have been asked for."""

    def progress(self, trial: Trial, data: Mapping[str, Any]) -> None:
        """`data` holds done, total and fields (loss, tokens_per_s ...)."""

    def finished(self, trial: Trial, seconds: float, summary: str) -> None:
        """The trial's result is published."""

    def failed(self, trial: Trial, failure: Failure) -> None:
        """The trial ended without a result."""

    def note(self, text: str) -> None:
        """One line for the reader."""


def view_for(total: int, *, stream: TextIO | None = None) -> View:
    """Bars when `stream` (stderr by default) is a terminal, else plain lines; `total` trials are to run."""
    target = sys.stderr if stream is None else stream
    return BarView(total, target) if target.isatty() else PlainView(total, target)


def shown_fields(fields: Mapping[str, float]) -> str:
    """`loss 3.214  tokens_per_s 51,203`."""
    return "  ".join(f"{name} {_short(value)}" for name, value in fields.items())


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _cause(failure: Failure) -> str:
    rank = "" if failure.rank is None else f"rank {failure.rank}: "
    return f"{rank}{failure.cause}" + (f" (log: {failure.log})" if failure.log else "")


class PlainView:
    """One line when a trial starts, every few seconds, and when it ends."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total, self._stream, self._ended = total, stream, 0
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

    def finished(self, trial: Trial, seconds: float, summary: str) -> None:
        """Say that it is done, and its first metrics."""
        self._ended += 1
        self.note(f"done    {trial.label}  {seconds:.1f} s  {summary}  [{self._ended}/{self._total}]")

    def failed(self, trial: Trial, failure: Failure) -> None:
        """Say that it failed, and why."""
        self._ended += 1
        self.note(f"FAILED  {trial.label}: {_cause(failure)}  [{self._ended}/{self._total}]")

    def note(self, text: str) -> None:
        """One line."""
        print(text, file=self._stream, flush=True)


class BarView:
    """A bar over all trials and one for each trial under way, with its latest fields and the time left."""

    def __init__(self, total: int, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(file=stream)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=self._console,
            refresh_per_second=5,
            transient=True,
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

    def finished(self, trial: Trial, seconds: float, summary: str) -> None:
        """Print the trial's line and take its bar away."""
        self._end(trial, "[green]done[/green]", f"{seconds:.1f} s  {summary}")

    def failed(self, trial: Trial, failure: Failure) -> None:
        """Print why it failed and take its bar away."""
        self._end(trial, "[bold red]FAILED[/bold red]", _cause(failure))

    def note(self, text: str) -> None:
        """One line above the bars."""
        self._console.print(text, markup=False, highlight=False)

    def _end(self, trial: Trial, word: str, detail: str) -> None:
        from rich.markup import escape

        self._console.print(f"{word}  {escape(trial.label)}  [dim]{escape(detail)}[/dim]", highlight=False)
        self._progress.remove_task(self._tasks.pop(trial.digest))
        self._progress.advance(self._overall)
