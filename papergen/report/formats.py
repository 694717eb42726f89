r"""From a value to the characters on the page, in one place for prose, captions, tables and the terminal.

The number of digits follows from the uncertainty: the half-width of the 95 % interval is given two significant digits
and the mean is rounded to the same place. Without an interval a number has four digits at most, a count all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from papergen.core.errors import PapergenError, counted, did_you_mean
from papergen.core.numbers import EXACT, MINUS, PLUS_MINUS, THIN, TIMES, grouped, rounded, scientific
from papergen.latex.text import Tex, escape, number_tex
from papergen.report import statistics
from papergen.report.values import Text, Value, one_of

FORMATS = {
    "": "the mean, rounded by its uncertainty",
    "pm": "mean and half-width of the 95 % interval",
    "ci": "the 95 % interval as [low, high]",
    "median": "the median of the units",
    "bootstrap": "the BCa bootstrap 95 % interval of the mean as [low, high], from 20 units on",
    "sd": "the standard deviation between the units",
    "n": "the number of units (prompts or seeds) behind it",
    "seeds": "the number of seeds behind it",
    "noun": "with what is counted: noun prints 48 prompts, seeds,noun 3 seeds or 1 seed",
    "raw": "every digit that was stored",
    "int": "rounded to a whole number",
    "percent": "in per cent, with the sign",
    "unit": "with its unit",
    "sign": "with its sign, + too",
    "word": "a whole number up to twelve as a word",
    "times": "a factor in words: twice, three times, 1.8 times",
    "of": "how many of how many: 3 of 4",
}
"""Words of a format; one of them, a number of decimals 0 to 9, or several with commas: `percent,1`, `pm,unit`."""

STYLES = ("pm", "ci", "median", "bootstrap", "sd", "n", "seeds", "raw", "word", "times", "of")
"""At most one of these; the other words say how its numbers look."""

MAX_DECIMALS = 6


@dataclass(frozen=True)
class Spec:
    """A parsed format."""

    style: str = ""
    decimals: int | None = None
    percent: bool = False
    unit: bool = False
    sign: bool = False
    noun: bool = False


def parse_format(text: str) -> Spec:
    """The format written in the square brackets of `\\result`; PapergenError names the nearest known word."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    spec: dict[str, str | int | bool] = {}
    for word in words:
        if re.fullmatch(r"\d", word) or word == "int":
            name, setting = "decimals", 0 if word == "int" else int(word)
        elif word in STYLES:
            name, setting = "style", word  # type: ignore[assignment]
        elif word in FORMATS:
            name, setting = word, True
        else:
            raise PapergenError(
                f"there is no format {word!r}. {did_you_mean(word, FORMATS)}",
                hint=f"Formats: {', '.join(filter(None, FORMATS))}, or a number of decimals; combine as in percent,1.",
            )
        if name in spec:
            raise PapergenError(f"the format {text!r} asks for two things at once. Keep one of them.")
        spec[name] = setting
    return Spec(**spec)  # type: ignore[arg-type]


def plain(value: Value | Text, text: str = "") -> str:
    """The value in Unicode, for terminals, JSON and figures: `12.3 ± 0.4`."""
    if isinstance(value, Text):
        return value.text if text == "raw" else value.printed
    number, unit = _written(value, parse_format(text))
    return number + unit


def tex(value: Value | Text, text: str = "") -> Tex:
    """The value as TeX for `\\result`: uses the signs of `latex.macros`; safe in captions, titles and bookmarks."""
    if isinstance(value, Text):
        return escape(value.text if text == "raw" else value.printed)
    number, unit = _written(value, parse_format(text))
    return Tex(number_tex(number) + escape(unit))


def decimals_of(value: Value, *, scale: float = 1.0) -> int:
    """How many decimals the mean deserves; negative where even tens are uncertain (12 350 ± 230 has -1)."""
    half = value.half_width
    if half:
        return min(MAX_DECIMALS, _decimals(half * scale, 2))
    if value.is_whole and scale == 1.0:
        return 0
    magnitude = abs(value.mean * scale)
    stored = -int(Decimal(repr(magnitude)).normalize().as_tuple().exponent)
    return max(0, min(MAX_DECIMALS, stored, _decimals(magnitude, 4 if magnitude >= 1 else 3))) if magnitude else 0


def _written(value: Value, spec: Spec) -> tuple[str, str]:
    """The number and what follows it (unit or per cent sign), in Unicode."""
    if spec.style in {"word", "times", "of"}:
        return _in_words(value, spec), ""
    if spec.percent and value.unit not in {"", "%"}:
        raise PapergenError(f"{value.key}: counts in {value.unit}; it cannot be written in per cent.")
    if spec.style in {"n", "seeds"} or spec == Spec(noun=True):
        count, over = (value.num_seeds, "seeds") if spec.style == "seeds" else (value.n, value.over)
        return counted(grouped(str(count)), one_of(over), over) if spec.noun else grouped(str(count)), ""
    if spec.noun:
        raise PapergenError(f"the format {spec.style}: noun names what is counted.", hint="Write n,noun or seeds,noun.")
    unit = "%" if spec.percent or (spec.unit and value.is_percent) else f"{THIN}{value.unit}" if spec.unit else ""
    unit = unit if value.unit or spec.percent else ""
    if spec.style == "raw":
        return repr(value.mean).replace("-", MINUS), unit
    scale = 100.0 if spec.percent and not value.is_percent else 1.0
    power = _common_power(value) if spec.style in {"pm", "ci"} else 0
    scale /= 10.0**power
    decimals = spec.decimals if spec.decimals is not None else decimals_of(value, scale=scale)
    if spec.style == "":
        return _one(value.mean * scale, decimals, spec, is_free=spec.decimals is None), unit
    if spec.style == "median":
        return _one(statistics.median(value.samples or [value.mean]) * scale, decimals, spec, is_free=False), unit
    if spec.style == "bootstrap":
        low, high = (grouped(rounded(end * scale, decimals)) for end in _bootstrap(value))
        return f"[{low}, {high}]", unit
    if spec.style == "sd":
        if value.sd is None:
            raise _no_spread(value, "standard deviation")
        own = spec.decimals if spec.decimals is not None else min(MAX_DECIMALS, _decimals(value.sd * scale, 2))
        return grouped(rounded(value.sd * scale, own)), unit
    if value.low is None or value.high is None or value.half_width is None:
        raise _no_spread(value, "interval")
    times = f"{TIMES}10^{power}" if power else ""
    if spec.style == "ci":
        low, high = (grouped(rounded(end * scale, decimals)) for end in (value.low, value.high))
        return f"[{low}, {high}]{times}", unit
    mean = _one(value.mean * scale, decimals, spec, is_free=False)
    both = f"{mean} {PLUS_MINUS} {grouped(rounded(value.half_width * scale, decimals))}"
    return (f"({both}){times}" if unit or times else both), unit


WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _in_words(value: Value, spec: Spec) -> str:
    """A count or a factor as prose says it."""
    number = value.mean
    is_small = float(number).is_integer() and 0 <= number < len(WORDS)
    if spec.style == "of":
        if value.over != "comparisons":
            raise PapergenError(f"{value.key}: is no count of comparisons.", hint="Use it with wins(a, [b, c]).")
        return f"{number:g} of {value.n}"
    if spec.style == "word":
        if not is_small:
            raise PapergenError(f"{value.key}: {number:g} is no whole number from zero to twelve.")
        return WORDS[int(number)]
    decimals = spec.decimals if spec.decimals is not None else min(1, decimals_of(value))
    shown = float(rounded(number, decimals))
    if shown in {1.0, 2.0}:
        return {1.0: "once", 2.0: "twice"}[shown]
    if shown.is_integer() and 0 <= shown < len(WORDS):
        return f"{WORDS[int(shown)]} times"
    return f"{grouped(rounded(number, decimals))} times"


def _one(number: float, decimals: int, spec: Spec, *, is_free: bool) -> str:
    """One number; very large and very small ones as 1.2×10^-5 when nobody asked for decimals."""
    plus = "+" if spec.sign and float(rounded(number, decimals)) > 0 else ""
    is_count = float(number).is_integer() and abs(number) < EXACT
    if is_free and number and not is_count and not 1e-4 <= abs(number) < 1e9:
        plus = "+" if spec.sign and number > 0 else ""
        return plus + scientific(number, 3, keeps_zeros=False)
    return plus + grouped(rounded(number, decimals))


def _common_power(value: Value) -> int:
    """The power of ten written once behind mean and interval; 0 but for numbers that no float counts exactly."""
    ends = (value.mean, value.low or 0.0, value.high or 0.0)
    largest = max(map(abs, ends))
    return Decimal(repr(largest)).adjusted() if largest >= EXACT else 0


def _decimals(magnitude: float, digits: int) -> int:
    """Decimals that give `magnitude` so many significant digits."""
    return digits - 1 - Decimal(repr(float(magnitude))).adjusted() if magnitude else digits - 1


def _bootstrap(value: Value) -> tuple[float, float]:
    warning = statistics.small_sample_warning("bootstrap", len(value.samples))
    if warning:
        raise PapergenError(f"{value.key}: {warning}.", hint="Use [ci], Student's interval.")
    interval = statistics.bootstrap_interval(value.samples)
    assert interval is not None, "twenty values have an interval"
    return interval.low, interval.high


def _no_spread(value: Value, what: str) -> PapergenError:
    alone = f"it rests on one {one_of(value.over)}"
    why = alone if value.n < 2 else f"its {value.over} do not differ"
    return PapergenError(
        f"{value.key}: has no {what}: {why}.",
        hint=f"Use more seeds in experiments/{value.key.split('/')[0]}.yaml, or print it without.",
    )
