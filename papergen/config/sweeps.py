"""Many rows from few lines: `grid:` multiplies, `zip:` goes in step, `exclude:` leaves out, ranges stand for lists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from papergen.core.errors import PapergenError, did_you_mean
from papergen.core.strict_yaml import Keys

_CALL = re.compile(r"\s*([a-z]+)\s*\(([^()]*)\)\s*")
_NOT_IN_NAMES = re.compile(r"[^\w.+-]+")
MAX_VALUES = 100_000


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination: parameter -> value, and where in the document each stands."""

    values: Mapping[str, Any]
    keys: Mapping[str, Keys]

    @property
    def suffix(self) -> str:
        """What the row's name gets: `@num_beams-4@top_p-0.9`."""
        return "".join(f"@{name}-{_NOT_IN_NAMES.sub('-', str(value))}" for name, value in self.values.items())


def is_of_row(name: str, row: str) -> bool:
    """Whether `name` is that row, or one of those that a sweep made of it (`nucleus@top_p-0.9` of `nucleus`)."""
    return name == row or name.startswith(f"{row}@")


def values_of(written: Any, where: str) -> list[Any]:
    """The values of a sweep: a list as it is, or one of the ranges below; PapergenError for anything else."""
    if isinstance(written, list) and written:
        return written
    call = _CALL.fullmatch(written) if isinstance(written, str) else None
    if call is None:
        quotes = " Inside { } and [ ] a range needs quotes." if "(" in str(written) else ""
        raise PapergenError(
            f"{where}: {written!r}: write a list as [1, 2, 3], or a range: {', '.join(EXAMPLES.values())}.{quotes}"
        )
    name, inside = call.groups()
    if name not in RANGES:
        raise PapergenError(f"{where}: there is no range {name!r}. {did_you_mean(name, RANGES)}")
    try:
        numbers = [Decimal(word.strip().replace("_", "")) for word in inside.split(",")]
        values = RANGES[name](*numbers)
    except (InvalidOperation, TypeError, ValueError, OverflowError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise PapergenError(f"{where}: {written!r} is no range{why}. Write it like {EXAMPLES[name]}.") from error
    if not values:
        raise PapergenError(f"{where}: {written!r} holds no value.")
    return values


def _range(start: Decimal, stop: Decimal | None = None, step: Decimal = Decimal(1)) -> list[int | float]:
    """As Python's range: the stop is not in it. Steps may be fractions; they are exact decimals."""
    if stop is None:
        start, stop = Decimal(0), start
    if step == 0:
        raise ValueError("a step of 0 never ends")
    count = max(0, int(((stop - start) / step).to_integral_value("ROUND_CEILING")))
    _at_most(count)
    return [_plain(start + step * index) for index in range(count)]


def _linspace(start: Decimal, stop: Decimal, count: Decimal) -> list[int | float]:
    """As numpy.linspace: so many values, both ends among them."""
    number = _count(count)
    gap = (stop - start) / max(1, number - 1)
    return [_plain(start + gap * index) for index in range(number - 1)] + [_plain(stop if number > 1 else start)]


def _geomspace(start: Decimal, stop: Decimal, count: Decimal) -> list[int | float]:
    """As numpy.geomspace: each value is the one before times the same factor, from start to stop."""
    if start <= 0 or stop <= 0:
        raise ValueError("both ends must be above 0")
    exponents = _linspace(start.log10(), stop.log10(), count)
    inner = [_plain(Decimal(10) ** Decimal(repr(exponent))) for exponent in exponents[1:-1]]
    return [_plain(start), *inner, _plain(stop)] if len(exponents) > 1 else [_plain(start)]


def _logspace(start: Decimal, stop: Decimal, count: Decimal) -> list[int | float]:
    """As numpy.logspace: powers of ten, from 10**start to 10**stop."""
    return [_plain(Decimal(10) ** Decimal(repr(exponent))) for exponent in _linspace(start, stop, count)]


def _count(number: Decimal) -> int:
    if number != int(number) or number < 1:
        raise ValueError("the number of values must be a whole number above 0")
    _at_most(int(number))
    return int(number)


def _at_most(count: int) -> None:
    if count > MAX_VALUES:
        raise ValueError(f"{count:,} values are more than {MAX_VALUES:,}")


def _plain(value: Decimal) -> int | float:
    """A whole number as an int when it was written as one; others rounded to 12 digits, so that 0.1 is 0.1."""
    is_whole = value == value.to_integral_value() and value.as_tuple().exponent >= 0  # type: ignore[operator]
    return int(value) if is_whole else float(f"{value:.12g}")


RANGES: Mapping[str, Callable[..., list[int | float]]] = {
    "range": _range,
    "linspace": _linspace,
    "geomspace": _geomspace,
    "logspace": _logspace,
}
EXAMPLES = {
    "range": "range(0, 10, 2)",
    "linspace": "linspace(0.5, 1, 6)",
    "geomspace": "geomspace(1e-4, 1e-1, 4)",
    "logspace": "logspace(-4, -1, 4)",
}


def points(grid: Any, zips: Any, where: Callable[..., str], *, fixed: Collection[str] = ()) -> list[Point]:
    """Every point of the grid, times every step of each zip; one empty point where there are none.

    Parameters that are `fixed` are left out.
    """
    axes: list[list[Point]] = []
    for name, written in _mapping(grid, "grid", where("grid")).items():
        if name in fixed:
            continue
        values = values_of(written, where("grid", name))
        keys: list[Keys] = [
            ("grid", name, i) if isinstance(written, list) else ("grid", name) for i in range(len(values))
        ]
        axes.append([Point(values={name: v}, keys={name: k}) for v, k in zip(values, keys, strict=True)])
    for index, group in enumerate(zips if isinstance(zips, list) else [zips]):
        start: Keys = ("zip", index) if isinstance(zips, list) else ("zip",)
        columns = {
            name: values_of(written, where(*start, name))
            for name, written in _mapping(group, "zip", where(*start)).items()
            if name not in fixed
        }
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise PapergenError(f"{where(*start)}: what goes in step must be equally many values: {told}.")
        if columns:
            steps = zip(*columns.values(), strict=True)
            axes.append(
                [
                    Point(values=dict(zip(columns, step, strict=True)), keys={n: (*start, n) for n in columns})
                    for step in steps
                ]
            )
    names = [name for axis in axes for name in axis[0].values]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PapergenError(f"{where('zip')}: {min(twice)} is swept twice, in the grid and in a zip or in two zips.")
    return [_joined(combination) for combination in itertools.product(*axes)]


def _mapping(written: Any, section: str, where: str) -> Mapping[str, Any]:
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise PapergenError(f"{where}: write the {section} as `parameter: [value, value]` lines.")
    return written


def _joined(combination: Sequence[Point]) -> Point:
    values: dict[str, Any] = {}
    keys: dict[str, Keys] = {}
    for point in combination:
        values |= point.values
        keys |= point.keys
    return Point(values=values, keys=keys)


def exclusions(written: Any, where: Callable[..., str]) -> list[Mapping[str, Any]]:
    """The conditions of `exclude:`, checked."""
    if written is None:
        return []
    if not isinstance(written, list) or not all(isinstance(item, dict) and item for item in written):
        raise PapergenError(f"{where('exclude')}: write `- {{parameter: value, parameter: value}}` lines.")
    return written


def is_excluded(condition: Mapping[str, Any], row: str, values: Mapping[str, Any]) -> bool:
    """Whether a row meets every part of a condition; a list means any of its values, `row` the row's own name."""
    every = {**values, "row": row}
    return all(
        name in every and any(_is(every[name], item) for item in (wanted if isinstance(wanted, list) else [wanted]))
        for name, wanted in condition.items()
    )


def _is(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)
