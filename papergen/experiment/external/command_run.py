"""One trial of `kind: command`: the program started, followed, its output read into metrics, series and units."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import papergen
from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.secrets import revealed
from papergen.experiment.api import Context, From
from papergen.experiment.external.attempts import Attempts, joined
from papergen.experiment.external.command import CommandSettings
from papergen.experiment.external.metrics import (
    ExternalSettings,
    TableLine,
    numbers_of,
    read,
    record,
    step_of,
)
from papergen.experiment.external.placeholders import fill
from papergen.experiment.external.readers.tables import Follower, read_lines
from papergen.experiment.external.series import Point, one_per_step
from papergen.store.runs import Run

LOOK_S = 0.5
"""Between two looks at the file that a running program writes."""

TAIL_LINES = 20
TAIL_BYTES = 16_384

OURS = (
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    "GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME",
)  # fmt: skip
"""Variables of the rank that would tell the program that it is a part of something."""


def run_command(params: CommandSettings, ctx: Context) -> dict[str, float]:
    """Run the command to its end and return its metrics; PapergenError with the end of its output when it failed."""
    out = ctx.folder / "out"
    out.mkdir()
    attempts = Attempts(ctx.scratch, out, params.files) if params.goes_on else None
    values = placeholder_values(params, ctx, out)
    if attempts:
        values["scratch"] = str(attempts.program_scratch)
    argv = params.argv(values)
    cwd = ctx.project / fill(params.cwd, values)
    print("$", shlex.join(argv), flush=True)  # noqa: T201  the first line of the trial's log
    ctx.fact("command", shlex.join(argv))
    follower = Follower(out / params.metrics_file, params.metrics_file) if _is_jsonl(params.metrics_file) else None
    lines: list[TableLine] = []
    with _patient():
        process = _started(argv, cwd, environment(params, values))
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
            status = process.returncode
            if attempts:
                attempts.keep()
            for line in follower.new_lines(is_over=status is not None) if follower else ():
                _log(ctx, params, line, len(lines))
                lines.append(line)
            if status is not None:
                break
    if status != 0:
        if attempts:
            attempts.leave()
        raise _failure(argv, status, Run(ctx.folder).rank_log(ctx.rank))
    metrics = _metrics(params, ctx, out, lines if follower else None, attempts)
    _keep_only(params, out)
    return metrics


def placeholder_values(params: CommandSettings, ctx: Context, out: Path) -> dict[str, Any]:
    """What each placeholder of the command stands for in this trial."""
    own = {name: str(ctx.upstream[name]) if isinstance(v, From) else v for name, v in params.own().items()}
    return {
        **own,
        "seed": ctx.trial.seed,
        "out": str(out),
        "project": str(ctx.project),
        "scratch": str(ctx.scratch),
        "device": ctx.device,
        "num_threads": ctx.num_threads,
        "python": sys.executable,
    }


def environment(params: CommandSettings, values: Mapping[str, Any]) -> dict[str, str]:
    """The program's environment: the author's, without what papergen's worker needs for itself."""
    root = str(Path(papergen.__file__).resolve().parents[1])
    found = {name: value for name, value in os.environ.items() if name not in OURS}
    if path := found.pop("PYTHONPATH", ""):
        rest = os.pathsep.join(folder for folder in path.split(os.pathsep) if folder != root)
        found |= {"PYTHONPATH": rest} if rest else {}
    # A bare `python` is the author's own; where there is none, the one that papergen runs under.
    found["PATH"] = os.pathsep.join(filter(None, [found.get("PATH"), str(Path(sys.executable).parent)]))
    return {**found, **{name: revealed(fill(text, values)) for name, text in params.environment.items()}}


def _started(argv: list[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The program, in the rank's process group (so that it is ended with it), writing to the rank's log."""
    try:
        # Popen looks the program up on our own PATH, not on the one it is given.
        program = str(cwd / argv[0]) if "/" in argv[0] else shutil.which(argv[0], path=env["PATH"]) or argv[0]
        return subprocess.Popen(revealed([program, *argv[1:]]), cwd=cwd, env=env, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise PapergenError(f"cwd: there is no folder {cwd}.") from error
        raise PapergenError(
            f"command: there is no program {argv[0]!r} on this machine.",
            hint="Write its whole path, {python} for the Python of papergen, or install it.",
        ) from error
    except PermissionError as error:
        raise PapergenError(
            f"command: {argv[0]!r} may not be executed.",
            hint=f"chmod +x {shlex.quote(argv[0])}, or name its interpreter.",
        ) from error
    except OSError as error:
        raise PapergenError(f"command: {argv[0]!r} cannot be started: {error.strerror}.") from error


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Leave a request to end (SIGTERM, which the program gets too) to the program, so that it can save its state."""

    def handler(number: int, frame: FrameType | None) -> None:
        """Only ignored: a handler, unlike SIG_IGN, is not inherited by the program."""

    try:
        before = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread: a test
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_jsonl(name: str) -> bool:
    return name.endswith((".jsonl", ".ndjson"))


def _log(ctx: Context, params: ExternalSettings, line: TableLine, index: int) -> None:
    """The numbers of a line as points of curves, under the names of the metrics where they have one."""
    named = {m.key or name: (name, m.scale) for name, m in params.metrics.items() if m.file is None}
    points: dict[str, float] = {}
    for column, value in numbers_of(line).items():
        if column != params.step:
            name, scale = named.get(column, (column, 1.0))
            points[name] = scale * value
    if points:
        ctx.log(step_of(line, index, params.step, "metrics"), **points)


def _metrics(
    params: CommandSettings,
    ctx: Context,
    out: Path,
    followed: list[TableLine] | None,
    attempts: Attempts | None,
) -> dict[str, float]:
    """The metrics from what the program wrote; `followed` are the lines of `metrics_file` where it is JSONL."""
    files: dict[str, list[TableLine]] = {}
    for file in dict.fromkeys(metric.file or params.metrics_file for metric in params.metrics.values()):
        files[file] = followed if followed is not None and file == params.metrics_file else _written(out, file)
    if attempts:
        files = _with_earlier(params, ctx, files, attempts)
    readings = {}
    for name, metric in params.metrics.items():
        file = metric.file or params.metrics_file
        readings[name] = read(metric, name, files[file], step=params.step, where=file)
    others: dict[str, float] = {}
    lines = files.get(params.metrics_file, [])
    if len(lines) == 1:
        others = {column: float(value) for column, value in numbers_of(lines[0]).items()}
    for name, points in _curves(params, lines).items() if len(lines) > 1 else ():
        ctx.series(name, points)
    record(ctx, readings)
    return {**others, **{name: reading.value for name, reading in readings.items()}}


def _with_earlier(
    params: CommandSettings, ctx: Context, files: Mapping[str, list[TableLine]], attempts: Attempts
) -> dict[str, list[TableLine]]:
    """The lines of each file with those that earlier attempts wrote before the step where this one went on."""
    whole: dict[str, list[TableLine]] = {}
    without: dict[str, int] = {}
    for file, lines in files.items():
        whole[file], num_without = joined(attempts.before(file), lines, params.step)
        if num_without and len(lines) > 1:
            without[file] = num_without
            ctx.note(
                f"{file}: {num_without} lines of an earlier attempt have no {params.step!r} and were left out: if this "
                "attempt went on from {scratch}, the head of the series is missing. Have the program write the step."
            )
    added = {file: count for file, lines in files.items() if (count := len(whole[file]) - len(lines))}
    for name, counts in (("earlier_lines", added), ("lines_without_step", without)):
        if counts:
            ctx.fact(name, counts)
    return whole


def _curves(params: ExternalSettings, lines: list[TableLine]) -> dict[str, list[Point]]:
    """The series of the columns that are no metric; of a step that comes twice the later value holds."""
    metrics = {metric.key or name for name, metric in params.metrics.items() if metric.file is None}
    found: dict[str, list[Point]] = {}
    for index, line in enumerate(lines):
        at = step_of(line, index, params.step, "metrics")
        for column, value in numbers_of(line).items():
            if column not in metrics and column != params.step:
                found.setdefault(column, []).append((at, float(value)))
    return {
        column: one_per_step(points, "last", metric=column, key=column, places=[""] * len(points))
        for column, points in found.items()
    }


def _written(out: Path, file: str) -> list[TableLine]:
    """The lines of a file that the program wrote."""
    if not (out / file).is_file():
        there = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
        told = did_you_mean(file, there) if there else "It wrote nothing there."
        raise PapergenError(f"the command ended well but wrote no {file} in {{out}}. {told}")
    return list(read_lines(out / file, file))


def _keep_only(params: CommandSettings, out: Path) -> None:
    if params.keep is None:
        return
    wanted = [*params.keep, *params.files]
    for path in sorted(out.rglob("*"), reverse=True):
        name = path.relative_to(out).as_posix()
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()
        elif not any(fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in wanted):
            path.unlink()


def _failure(argv: list[str], status: int, log: Path) -> PapergenError:
    how = f"ended with status {status}" if status > 0 else f"was killed by {_signal_name(-status)}"
    told = list(_tail(log))
    last = next((line.strip() for line in reversed(told) if line.strip()), "no output was kept")
    return PapergenError(f"the command {how}: {last}", hint="\n".join(told))


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


def _tail(log: Path) -> Iterator[str]:
    if not log.exists():
        return
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
    yield from (line for line in lines[-TAIL_LINES:] if not line.startswith("$ "))
