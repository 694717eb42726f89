"""What the user can mend is a PapergenError; what only we can mend is an assert with a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

MAX_LINES = 25
"""An error printed to the terminal is at most this many lines."""


class PapergenError(Exception):
    """A fault that the user can mend: one message says what, where, the value met, what would be right, what to type.

    Exit code 2 (the user's input) unless a subclass says otherwise.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, parameter: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.parameter = parameter
        """The parameter of an experiment that is at fault, for whoever knows the line that sets it."""

    def __str__(self) -> str:
        """The message, then the hint, cut to `MAX_LINES` lines."""
        text = self.message if self.hint is None else f"{self.message}\n{self.hint}"
        lines = text.splitlines()
        if len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], f"... and {len(lines) - MAX_LINES + 1} more lines"]
        return "\n".join(lines)

    def at(self, where: str) -> Self:
        """The error itself, its message now told at `where` (`file:line`, a command's word); then `raise` it again.

        Not a new error of the same class: subclasses are made of other things than a message.
        """
        self.message = f"{where}: {self.message}"
        return self


class ResultError(PapergenError):
    """Some trials failed or a check did: exit code 1."""

    exit_code = 1


class MachineError(PapergenError):
    """The environment lacks something (TeX, disk space, a device): exit code 3."""

    exit_code = 3


class DiskFullError(MachineError):
    """There is no room on the disk, or in the user's share of it."""


@dataclass(frozen=True, init=False)
class ParameterFault:
    """Why the values of some parameters mean nothing together, as a sentence with what would be right."""

    sentence: str
    parameters: tuple[str, ...]
    """Whose values clash: the fault is told at the line of the first one that the author wrote."""

    def __init__(self, sentence: str, *parameters: str) -> None:
        object.__setattr__(self, "sentence", sentence)
        object.__setattr__(self, "parameters", parameters)

    def __str__(self) -> str:
        """Only the sentence."""
        return self.sentence


class InvalidParametersError(ValueError):
    """Raised by the validator of a whole model: all that is wrong with its parameters, each with what it is about.

    A ValueError, because pydantic gathers no other; a validator of one field needs only a ValueError of its own.
    """

    def __init__(self, *faults: ParameterFault) -> None:
        super().__init__(*faults)
        self.faults = faults

    def __str__(self) -> str:
        """A line per fault."""
        return "\n".join(map(str, self.faults))


def nearest(word: str, known: Iterable[str], *, count: int = 1) -> list[str]:
    """The names among `known` that `word` was most likely meant to be, best first."""
    names: Sequence[str] = sorted(set(known))
    found = difflib.get_close_matches(word, names, n=count, cutoff=0.5)
    return found or difflib.get_close_matches(word.lower(), names, n=count, cutoff=0.4)


SHORT_LIST = 12
"""So many names are all told rather than one that is only a little alike."""


def nearest_name(word: str, known: Iterable[str]) -> str:
    """The one name among `known` that `word` was most likely meant to be; "" when none is much alike.

    Where the names are few, only one that is much alike counts as near: nobody who typed `nope` meant `loaded`.
    """
    names = sorted(set(known))
    close = nearest(word, names)
    if close and len(names) <= SHORT_LIST:
        alike = difflib.SequenceMatcher(None, word.lower(), close[0].lower()).ratio()
        close = close if alike >= 0.6 else []
    return close[0] if close else ""


MISSPELT = 0.85
"""How alike a misspelt name is, by difflib: `scor` and `score` (0.89) are one name, `rep_2` and `rep_3` (0.80) two."""


def misspelt(word: str, known: Iterable[str]) -> str:
    """The name among `known` of which `word` is a misspelling, or that misspells it; "" when there is none."""
    names = {name.lower(): name for name in known}
    return next((names[found] for found in difflib.get_close_matches(word.lower(), names, n=1, cutoff=MISSPELT)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence for an error message: the nearest name, else every allowed name (or nothing when there is none)."""
    names = sorted(set(known))
    if near := nearest_name(word, names):
        return f"Did you mean {near}?"
    return f"Known: {', '.join(names)}." if names else ""


def counted(count: int | str, noun: str, plural: str = "") -> str:
    """`1 page`, `2 pages`: a count with its noun; the plural ends in s unless given."""
    return f"{count} {noun if str(count) == '1' else plural or noun + 's'}"


def gathered(faults: Sequence[PapergenError | str], heading: str) -> PapergenError:
    """One error out of several, so that the user sees all of them at once; it ends as the first one would."""
    assert faults, "gathered() is for at least one fault"
    first = faults[0] if isinstance(faults[0], PapergenError) else PapergenError(faults[0])
    if len(faults) == 1:
        return first
    # A subclass with an __init__ of its own is made of more than a message: its nearest plain base stands for it.
    kinds = [base for base in type(first).__mro__ if issubclass(base, PapergenError)]
    kind = next(base for base in kinds if base.__init__ is PapergenError.__init__)
    return kind("\n".join([f"{len(faults)} {heading}:", *map(str, faults)]))
