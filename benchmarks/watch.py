"""How long after a save the new PDF of a paper is there under `papergen watch`: the issue asks for less than a second.

    python benchmarks/watch.py PAPER_FOLDER [--repeats 15]

The paper must be finished (its experiments run). A word is put into its first section and taken out again; the clock
runs from the write to the moment at which another PDF is in place. Prints median, range and load, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def seconds_until_new(pdf: Path, before: int) -> float:
    started = time.perf_counter()
    while time.perf_counter() - started < 60:
        try:
            if pdf.stat().st_mtime_ns != before:
                return time.perf_counter() - started
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    raise SystemExit(f"no new {pdf} within 60 s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paper", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    root = options.paper.resolve()
    pdf = root / "build" / f"{root.name}.pdf"
    section = next(path for path in sorted((root / "sections").glob("*.tex")) if "introduction" in path.name)
    original = section.read_text(encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "papergen", "watch", "--port", "0"], cwd=root, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    times = []
    try:
        first = process.stderr.readline()
        for number in range(options.repeats):
            time.sleep(1)
            before = pdf.stat().st_mtime_ns
            section.write_text(f"{original}\nWord {number}.\n", encoding="utf-8")
            times.append(seconds_until_new(pdf, before))
    finally:
        section.write_text(original, encoding="utf-8")
        process.terminate()
        process.communicate(timeout=20)
    print(
        json.dumps(
            {
                "paper": first.strip(),
                "median_s": round(statistics.median(times), 3),
                "range_s": [round(min(times), 3), round(max(times), 3)],
                "repeats": options.repeats,
                "load_average": os.getloadavg()[0],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
