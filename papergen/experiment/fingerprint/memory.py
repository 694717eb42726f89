"""What reading a file of code gave, kept for the next command: a file that did not change is not parsed again.

An entry belongs to a file by its size, times (ctime, which no program sets back, among them), inode and device, and is
made only when the file had rested for a while: no later version can bear the same stamp. Another Python, or another
version of this room, starts anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from papergen.core import unchanged
from papergen.core.remembered import is_settled, keep, recall
from papergen.core.unchanged import Stamp, stamp

TOPIC = "code"
MOST_KEPT = 800
"""Files; those that were not asked for the longest go first."""


class Memory:
    """Answers about files, by question and path; plain JSON data."""

    def __init__(self) -> None:
        self._makers: dict[str, Any] = {}
        self._known: dict[str, Any] | None = None
        self._asked: dict[str, Any] = {}
        self._is_new = False

    def of(self, question: str, path: Path, answer: Callable[[], Any]) -> Any:
        """The answer to a question about the content of a file, from memory while the file is the same."""
        return self.of_all(f"{question} {path}", [path], lambda: (answer(), ()))

    def of_all(self, question: str, paths: Sequence[Path], answer: Callable[[], tuple[Any, Sequence[Path]]]) -> Any:
        """The same of files and folders together; with its answer, `answer` gives more that it depends on."""
        known = self._entries().get(question)
        if known is not None and [str(path) for path in paths] == known["first"]:
            for path in known["seen"]:
                unchanged.depends_on(path)
            if known["seen"] == {path: stamp(path) for path in known["seen"]}:
                self._asked[question] = known
                return known["answer"]
        now = time.time_ns()
        first = {str(path): stamp(path) for path in paths}
        found, more = answer()
        seen = first | {str(path): stamp(path) for path in more}
        self._note(question, found, seen, now, first=list(first))
        return found

    def _note(self, key: str, answer: Any, seen: dict[str, Stamp], now_ns: int, *, first: list[str]) -> None:
        is_same = all(stamp(path) == known for path, known in seen.items())
        if is_same and all(is_settled(known, read_ns=now_ns) for known in seen.values()):
            self._asked[key] = {"answer": answer, "seen": seen, "first": first}
            self._is_new = True

    def _entries(self) -> dict[str, Any]:
        if self._known is None:
            here = sorted(Path(__file__).parent.glob("*.py"))
            self._makers = {"python": sys.version, "code": [[str(path), stamp(path)] for path in here]}
            kept = recall(TOPIC)
            entries = kept.get("entries") if kept.get("makers") == self._makers else {}
            self._known = {key: value for key, value in (entries or {}).items() if _is_entry(value)}
        return self._known

    def save(self) -> None:
        """Keep what is new for the next command."""
        if not self._is_new:
            return
        older = {key: value for key, value in self._entries().items() if key not in self._asked}
        newest = dict([*older.items(), *self._asked.items()][-MOST_KEPT:])
        self._known, self._is_new = newest, False
        keep(TOPIC, {"makers": self._makers, "entries": newest})


def _is_entry(value: object) -> bool:
    """Whether it has the form of an entry: the file may be anybody's."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("seen"), dict)
        and all(isinstance(seen, list) for seen in value["seen"].values())
        and isinstance(value.get("first"), list)
        and "answer" in value
    )


MEMORY = Memory()
"""Of this process."""
