"""Training: `papergen run-exp` beside raw DDP by torchrun, Accelerate and Lightning Fabric, same model and data.

    python benchmarks/training.py [--rounds 7] [--steps 30] [--ranks 2] [--layers 6] [--width 256]

The contenders take turns within every round, in an order that alternates; a round's number is the median over its steps
after a warm-up, and start-up runs from starting the command to the end of the first step. Needs the extra `bench`;
a contender that is not installed is left out by name. With CUDA also tokens/s, MFU and the share of the copy bandwidth.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import save, show

from papergen.execution.devices import choose_device

HERE = Path(__file__).parent
NEEDS = {"ddp": "torch", "accelerate": "accelerate", "fabric": "lightning_fabric"}
OURS = "papergen"
NUM_WARMUP = 5
LIMIT_S = 600


@dataclass(frozen=True)
class Round:
    """What one contender needed in one round."""

    startup_s: float
    step_s: float


def main() -> None:
    """Run the comparison and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    settings = {
        "world_size": options.ranks,
        "n_layer": options.layers,
        "n_embd": options.width,
        "max_steps": options.steps,
        "warmup_steps": 0,
    }
    names = [OURS, *(name for name, module in NEEDS.items() if importlib.util.find_spec(module) is not None)]
    for name in sorted({*NEEDS} - {*names}):
        print(f"{name}: left out, {NEEDS[name]} is not installed (pip install 'papergen[bench]')")
    found: dict[str, list[Round]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder), settings)
        for number in range(options.rounds + 1):  # round 0 fills the caches and is thrown away
            for name in names if number % 2 == 0 else names[::-1]:
                measured = ours(project) if name == OURS else theirs(name, project, options.ranks)
                if number:
                    found[name].append(measured)
    steps = {name: [item.step_s for item in rounds] for name, rounds in found.items()}
    startups = {name: [item.startup_s for item in rounds] for name, rounds in found.items()}
    record: dict[str, Any] = {"settings": settings, "rounds": options.rounds}
    for title, times in (("step", steps), ("startup", startups)):
        table = against(times)
        show(title, table)
        record[title] = {"seconds": times, "against": table}
    device, reason = choose_device("auto")
    if device == "cuda":
        import training_gpu

        record["gpu"] = training_gpu.measure()
        print(json.dumps(record["gpu"], indent=2))
    else:
        print(f"GPU section skipped: {reason}")
    if not options.no_save:
        print(save("training-cpu" if device == "cpu" else "training-gpu", record))


def against(times: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Per contender: median, and the ratio of its time to ours over the rounds: median and range."""
    found = {}
    for name, seconds in times.items():
        per_round = [other / own for other, own in zip(seconds, times[OURS], strict=True)]
        found[name] = {
            "median_s": statistics.median(seconds),
            "ours_is_faster_by": statistics.median(per_round),
            "lowest": min(per_round),
            "highest": max(per_round),
        }
    return found


def make_project(folder: Path, settings: Mapping[str, Any]) -> Path:
    """A paper project whose one experiment is the run, and the same settings for the others."""
    (folder / "experiments").mkdir()
    (folder / "paper.yaml").write_text("title: Benchmark\nauthors:\n  - name: B. Benchmark\n")
    lines = [f"{name}: {value}" for name, value in settings.items()]
    (folder / "experiments" / "run.yaml").write_text("\n".join(["kind: throughput", "num_threads: 1", *lines, ""]))
    (folder / "settings.json").write_text(json.dumps(dict(settings)))
    return folder


def ours(project: Path) -> Round:
    """`papergen run-exp`, from a cold start."""
    command = [sys.executable, "-m", "papergen", "run-exp", "--force", "--json", "--device", "cpu"]
    startup_s, lines = watched(command, project, lambda line: '"progress"' in line)
    (metrics,) = (json.loads(line)["metrics"] for line in lines if '"event": "finished"' in line)
    return Round(startup_s, metrics["step_time_ms"] / 1e3)


def theirs(name: str, project: Path, num_ranks: int) -> Round:
    """A contender, by torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_ranks)]
    command = [*launcher, str(HERE / "training_contenders.py"), name, str(project / "settings.json")]
    startup_s, lines = watched(command, project, lambda line: line.strip() == "first")
    (durations,) = (json.loads(line)["durations_s"] for line in lines if line.startswith('{"durations_s"'))
    return Round(startup_s, statistics.median(durations[NUM_WARMUP:]))


def watched(command: list[str], project: Path, is_first: Any) -> tuple[float, list[str]]:
    """Seconds until the command says that the first step is done, and all that it prints."""
    began, startup_s, lines = time.perf_counter(), None, []
    with (project / "stderr.txt").open("w+") as errors:
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if startup_s is None and is_first(line):
                startup_s = time.perf_counter() - began
            lines.append(line)
        if process.wait(LIMIT_S) or startup_s is None:
            errors.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{errors.read()[-3000:]}")
    return startup_s, lines


if __name__ == "__main__":
    main()
