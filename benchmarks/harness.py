"""What a harness costs per trial: papergen against Hydra (basic, joblib) and one new process with torch per trial.

    python benchmarks/harness.py [--trials 100] [--rounds 3] [--scale 10000] [--save]

A trial does nothing, so all that is measured is the harness. papergen runs each in a process of its own with torch
imported, records and publishes it; Hydra basic runs the function in one process without torch and keeps no result. The
cost per trial is the time of a sweep of N minus that of a sweep of 1, over N - 1. Hydra needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import machine, save

KIND = """
from pydantic import Field
from papergen import Metric, Params as Base

PRELOAD = ("torch",)

class Params(Base):
    x: int = Field(default=0, description="Any whole number.")

METRICS = (Metric(name="score", label="Score"),)

def is_seeded(params):
    return False

def run(params, ctx):
    return {"score": float(params.x)}
"""

HYDRA = """
import hydra

@hydra.main(version_base=None, config_path=None, config_name=None)
def main(config):
    return float(config.get("x", 0))

main()
"""


def main() -> None:
    """Measure and print; with --save also write benchmarks/results/harness.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=10_000, help="trials of the plan whose status is timed")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        record = measure(Path(name), arguments.trials, arguments.rounds, arguments.scale)
    print(f"machine: {machine()}")
    for what, milliseconds in record["ms_per_trial"].items():  # type: ignore[attr-defined]
        print(f"  {what:<44} {milliseconds['median']:9.2f} ms a trial   {milliseconds['all']}")
    for what, seconds in record["s"].items():  # type: ignore[attr-defined]
        print(f"  {what:<44} {seconds:9.3f} s")
    if arguments.save:
        print(save("harness", record))


def measure(folder: Path, trials: int, rounds: int, scale: int) -> dict[str, object]:
    """Costs per trial in milliseconds, and what a large plan takes in seconds."""
    contenders: dict[str, Callable[[int], None]] = {
        "papergen, isolated": lambda count: papergen_sweep(folder, count),
        "a new process with torch": lambda count: processes(min(count, 1 + trials // 20)),
    }
    if importlib.util.find_spec("hydra") is not None:
        (folder / "app.py").write_text(HYDRA)
        contenders["Hydra basic, one process"] = lambda count: hydra_sweep(folder, count, [])
        if importlib.util.find_spec("hydra_plugins") is not None:
            joblib = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={os.cpu_count()}"]
            contenders["Hydra joblib"] = lambda count: hydra_sweep(folder, count, joblib)
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(rounds):
        for name in list(contenders) if round_ % 2 == 0 else list(contenders)[::-1]:
            many = 1 + trials // 20 if name == "a new process with torch" else trials
            one, all_ = timed(contenders[name], 1), timed(contenders[name], many)
            found[name].append(1000 * (all_ - one) / (many - 1))
    cached, seconds = large_plan(folder, scale)
    found["papergen, finished before"] = [cached]
    costs = {
        name: {"median": statistics.median(values), "all": [round(v, 2) for v in values]}
        for name, values in found.items()
    }
    return {"trials": trials, "rounds": rounds, "scale": scale, "ms_per_trial": costs, "s": seconds}


def timed(run: Callable[[int], None], count: int) -> float:
    """Seconds of a sweep of `count` trials."""
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start


def make_project(folder: Path, count: int) -> Path:
    """A new paper project with one experiment of `count` rows."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: A title\nauthors:\n  - name: A. Author\n")
    (folder / "experiments" / "nothing.py").write_text(KIND)
    values = ", ".join(str(number) for number in range(count))
    (folder / "experiments" / "sweep.yaml").write_text(f"kind: nothing\ngrid:\n  x: [{values}]\n")
    return folder


def papergen(project: Path, *words: str) -> None:
    """One command, its output thrown away."""
    subprocess.run(
        [sys.executable, "-m", "papergen", *words],
        cwd=project,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def papergen_sweep(folder: Path, count: int) -> None:
    """A new project, run from nothing."""
    papergen(make_project(folder / "paper", count), "run-exp")


def processes(count: int) -> None:
    """`python -c "import torch"`, one after the other."""
    for _ in range(count):
        subprocess.run([sys.executable, "-c", "import torch"], check=True)


def hydra_sweep(folder: Path, count: int, options: list[str]) -> None:
    """A multirun over `count` values."""
    sweep = f"+x={','.join(str(number) for number in range(count))}"
    subprocess.run(
        [sys.executable, "app.py", "-m", *options, sweep, f"hydra.sweep.dir={folder / 'hydra'}"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    shutil.rmtree(folder / "hydra", ignore_errors=True)


def large_plan(folder: Path, count: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of run-exp per trial that is finished already, and seconds of commands over such a plan."""
    project = make_project(folder / "large", count)
    finish(project)
    seconds = {}
    for name, words in {
        f"status of {count} finished trials, first": ["status"],
        f"status of {count} finished trials": ["status"],
        f"run-exp with {count} finished trials": ["run-exp"],
        f"results --csv of {count} trials": ["results", "--csv"],
    }.items():
        seconds[name] = timed(lambda _, words=words: papergen(project, *words), 1)  # type: ignore[misc]
    (project / "experiments" / "nothing.py").write_text(KIND.replace("float(params.x)", "float(params.x) + 1"))
    seconds[f"status of {count} stale trials"] = timed(lambda _: papergen(project, "status"), 1)
    return 1000 * seconds[f"run-exp with {count} finished trials"] / count, seconds


def finish(project: Path) -> None:
    """Put results into the store without running anything; not timed."""
    from papergen.core.files import write_json
    from papergen.experiment.project import open_project
    from papergen.store.records import Provenance

    empty = dict.fromkeys(("started", "ended", "hostname", "platform", "python", "papergen", "cpu", "backend"), "")
    provenance = Provenance(
        **empty,
        command=[],
        duration_s=0.0,
        packages={},
        num_cores=1,
        memory_gib=1.0,
        device="cpu",
        gpus=[],
        num_threads=1,
        launcher="none",
        git_commit="",
        git_is_dirty=False,
        load_average=0.0,
    )
    opened = open_project(project)
    fsync = os.fsync
    os.fsync = lambda _: None  # type: ignore[assignment]  # a power cut would be no loss here
    try:
        for trial in opened.trials:
            run = opened.store.begin(trial)
            write_json(run.outcome_file, {"metrics": {"score": 1.0}, "units": {}, "series": {}, "facts": {}})
            opened.store.publish(trial, provenance)
    finally:
        os.fsync = fsync


if __name__ == "__main__":
    main()
