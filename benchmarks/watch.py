"""How long after a save, or after a result came, the new PDF of a paper is there under `papergen watch`.

    python benchmarks/watch.py PAPER_FOLDER [--repeats 15]

The issue asks for less than a second. The paper must be finished (its experiments run); a copy of it is watched. For
the saves, words are put into its introduction. For the results, the newest trial of the experiment with the most
trials is taken away and put back, which draws the experiment's figures anew (with --draft, so that there is a PDF in
between). The clock runs from the write to the moment at which another PDF is in place. Prints medians, ranges and
load, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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


def watching(root: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    """`papergen watch` in a folder, and what it said of its first build."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        [sys.executable, "-m", "papergen", "watch", "--port", "0", *options],
        cwd=root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    return process, process.stderr.readline().strip()


def after(change: Callable[[], object], pdf: Path) -> float:
    """Seconds from a change to another PDF; before it, the paper has been at rest."""
    time.sleep(2.5)
    before = pdf.stat().st_mtime_ns
    change()
    return seconds_until_new(pdf, before)


def saves(root: Path, pdf: Path, repeats: int) -> dict[str, object]:
    """A word more in the introduction, again and again."""
    section = next(path for path in sorted((root / "sections").glob("*.tex")) if "introduction" in path.name)
    original = section.read_text(encoding="utf-8")
    process, said = watching(root)
    try:
        times = [
            after(lambda: section.write_text(f"{original}\nWord {number}.\n", encoding="utf-8"), pdf)  # noqa: B023
            for number in range(repeats)
        ]
    finally:
        section.write_text(original, encoding="utf-8")
        process.terminate()
        process.communicate(timeout=20)
    return {"paper": said, **spread(times)}


def results(root: Path, pdf: Path, repeats: int) -> dict[str, object]:
    """A trial that comes."""
    folders = [path for path in (root / "results").iterdir() if path.is_dir() and not path.name.startswith(".")]
    most = max(folders, key=lambda folder: len(list(folder.iterdir())))
    trial = max((path for path in most.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime_ns)
    aside = root / "build" / "aside"
    process, said = watching(root, "--draft")
    times = []
    try:
        for _ in range(repeats):
            after(lambda: trial.rename(aside), pdf)
            times.append(after(lambda: aside.rename(trial), pdf))
    finally:
        process.terminate()
        process.communicate(timeout=20)
    return {"paper": said, "trial": trial.relative_to(root).as_posix(), **spread(times)}


def spread(times: list[float]) -> dict[str, object]:
    """Median and range."""
    return {
        "median_s": round(statistics.median(times), 3),
        "range_s": [round(min(times), 3), round(max(times), 3)],
        "repeats": len(times),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paper", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / options.paper.resolve().name
        shutil.copytree(options.paper, root)
        pdf = root / "build" / f"{root.name}.pdf"
        found = {"save": saves(root, pdf, options.repeats), "result": results(root, pdf, options.repeats)}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
