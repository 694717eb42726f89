"""What the benchmarks share: interleaved repeats, medians, the machine by name, one JSON file per run."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from papergen.execution.devices import cpu_model, memory_gib, num_cores

RESULTS = Path(__file__).with_name("results")


def interleaved(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of every round by contender; the order alternates from round to round."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(warmup + rounds):
        names = list(contenders) if round_ % 2 == 0 else list(contenders)[::-1]
        for name in names:
            start = clock()
            contenders[name]()
            if round_ >= warmup:
                times[name].append(clock() - start)
    return times


def ratios(times: Mapping[str, list[float]], ours: str) -> dict[str, dict[str, float]]:
    """Per contender: median seconds, and how many times faster ours is (median and range of the rounds' ratios)."""
    found = {}
    for name, seconds in times.items():
        per_round = [other / own for other, own in zip(seconds, times[ours], strict=True)]
        found[name] = {
            "median_s": statistics.median(seconds),
            "ours_is_faster_by": statistics.median(per_round),
            "lowest": min(per_round),
            "highest": max(per_round),
        }
    return found


def machine() -> dict[str, Any]:
    """The machine and the load on it."""
    return {
        "cpu": cpu_model(),
        "num_cores": num_cores(),
        "memory_gib": round(memory_gib(), 1),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def save(name: str, record: Mapping[str, Any]) -> Path:
    """Write the record with the machine and the date under benchmarks/results/."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    full = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), **record}
    path.write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def show(title: str, table: Mapping[str, Mapping[str, float]]) -> None:
    """One line per contender."""
    print(title)
    for name, row in table.items():
        print(
            f"  {name:<28} {row['median_s']:8.3f} s   ours is {row['ours_is_faster_by']:.2f}x faster"
            f" ({row['lowest']:.2f} to {row['highest']:.2f})"
        )
