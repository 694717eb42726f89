"""Digits follow the uncertainty, signs and separators are typographic, and nothing prints what is not known."""

import pytest

from papergen.core.errors import PapergenError
from papergen.report.formats import FORMATS, parse_format, plain, tex
from papergen.report.values import Text, Value, summary

MINUS, THIN = "\N{MINUS SIGN}", "\N{THIN SPACE}"


def bare(mean: float, unit: str = "") -> Value:
    return Value(key="e/r/m", mean=mean, unit=unit)


def spread(mean: float, half: float, unit: str = "", sd: float = 1.0) -> Value:
    return Value(key="e/r/m", mean=mean, n=5, num_seeds=2, sd=sd, low=mean - half, high=mean + half, unit=unit)


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [
        (12.3456, 0.4321, "12.35 ± 0.43"),
        (71.76, 17.2, "72 ± 17"),
        (0.0123456, 0.00012, "0.01235 ± 0.00012"),
        (12345.6, 234.5, f"12{THIN}350 ± 230"),
        (-3.14159, 0.05, f"{MINUS}3.142 ± 0.050"),
        (5.0, 0.0, "5 ± 0"),
        (0.5, 9.96, "0.5 ± 10.0"),
    ],
)
def test_digits_follow_the_half_width(mean: float, half: float, expected: str) -> None:
    value = spread(mean, half)
    assert plain(value, "pm") == expected
    assert plain(value) == expected.split(" ±")[0]


@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        (0.951934, "0.952"),
        (3.14159, "3.142"),
        (1234.56, "1235"),
        (123456.789, f"123{THIN}457"),
        (128.0, "128"),
        (0.0, "0"),
        (0.00031, "0.00031"),
        (0.0000123456, f"1.23×10^{MINUS}5"),
        (0.9, "0.9"),
        (50257.25, f"50{THIN}257"),
    ],
)
def test_without_an_interval_four_digits_and_counts_in_full(mean: float, expected: str) -> None:
    assert plain(bare(mean)) == expected


def test_named_formats() -> None:
    value = spread(0.4321, 0.0123, sd=0.056)
    assert plain(value, "ci") == "[0.420, 0.444]"
    assert plain(value, "sd") == "0.056"
    assert plain(value, "n") == "5"
    assert plain(value, "seeds") == "2"
    assert (plain(value, "noun"), plain(value, "seeds,noun")) == ("5 seeds", "2 seeds")
    assert (plain(bare(1.5), "n,noun"), plain(bare(1.5), "seeds,noun")) == ("1 seed", "1 seed")
    assert plain(value, "percent") == "43.2%"
    assert plain(value, "percent,0") == "43%"
    assert plain(value, "pm,percent") == "(43.2 ± 1.2)%"
    assert plain(value, "int") == "0"
    assert plain(value, "5") == "0.43210"
    assert plain(value, "sign") == "+0.432"
    assert plain(value, "raw") == "0.4321"
    assert plain(bare(0.1 + 0.2), "raw") == "0.30000000000000004"
    assert plain(bare(1520.0, "tokens/s"), "unit") == f"1520{THIN}tokens/s"
    assert plain(bare(7.25, "%"), "unit") == plain(bare(7.25, "%"), "percent") == "7.25%"


def test_tex_is_balanced_and_carries_signs_as_macros() -> None:
    assert tex(spread(-12345.6, 234.5), "pm") == r"\papergenminus{}12\,350\papergenpm{}230"
    assert tex(spread(0.4321, 0.0123), "pm,percent") == r"(43.2\papergenpm{}1.2)\%"
    assert tex(spread(0.4321, 0.0123), "ci") == "{[}0.420, 0.444{]}"
    assert tex(bare(0.0000123)) == r"1.23\papergenpower{-5}"
    assert tex(bare(3.5, "tokens_per_%"), "unit") == r"3.5\,tokens\_per\_\%"
    best = Text(key="e/r/m", text="nucleus@top_p-0.9", label="nucleus, top_p 0.9")
    assert (tex(best), tex(best, "raw")) == (r"nucleus, top\_p 0.9", r"nucleus@top\_p-0.9")
    assert tex(Text(key="e/r/m", text="50% of A&B_c")) == r"50\% of A\&B\_c"


def test_no_interval_is_an_error_and_never_plus_minus_zero() -> None:
    for name in ("pm", "ci", "sd"):
        with pytest.raises(PapergenError, match="it rests on one seed"):
            plain(bare(1.5), name)


def test_unknown_and_contradictory_formats_say_so() -> None:
    with pytest.raises(PapergenError, match=r"no format 'percnt'\. Did you mean percent"):
        parse_format("percnt")
    with pytest.raises(PapergenError, match="two things at once"):
        parse_format("pm,ci")
    with pytest.raises(PapergenError, match="cannot be written in per cent"):
        plain(bare(1.0, "s"), "percent")


def test_every_documented_format_works_on_a_real_sample() -> None:
    sample = Value(key="e/r/m", **summary([0.11, 0.12, 0.15] * 7))
    count = Value(key="wins", mean=3, n=4, over="comparisons")
    for name in FORMATS:
        value = count if name in {"word", "of"} else sample
        assert plain(value, name)
        assert tex(value, name).count("{") == tex(value, name).count("}")


def test_counts_and_factors_in_words() -> None:
    wins = Value(key="wins", mean=3, n=4, over="comparisons")
    assert [plain(wins, name) for name in ("of", "word", "times")] == ["3 of 4", "three", "three times"]
    assert [plain(bare(number), "times") for number in (2.0, 1.83, 0.5)] == ["twice", "1.8 times", "0.5 times"]
    with pytest.raises(PapergenError, match="no whole number from zero to twelve"):
        plain(bare(13), "word")


def test_median_and_bootstrap_are_of_the_units_and_refused_where_they_mislead() -> None:
    import numpy as np
    from scipy import stats

    draws = tuple(float(x) for x in np.random.default_rng(0).gamma(2.0, 3.0, 40))
    value = Value(key="a/b/c", mean=sum(draws) / 40, n=40, samples=draws, sd=1.0, low=1.0, high=2.0)
    assert plain(value, "median,4") == f"{np.median(draws):.4f}"
    ends = [float(text) for text in plain(value, "bootstrap,3").strip("[]").split(", ")]
    reference = stats.bootstrap((draws,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    assert ends == pytest.approx([reference.low, reference.high], rel=0.02)
    few = Value(key="a/b/c", mean=2.0, n=3, samples=(1.0, 2.0, 3.0))
    assert plain(few, "median") == "2"
    with pytest.raises(PapergenError, match="too narrow below about 20 values"):
        plain(few, "bootstrap")


@pytest.mark.parametrize("mean", [1e28, 3.3e30, -1e300])
def test_numbers_beyond_what_floats_count_are_powers_of_ten(mean: float) -> None:
    digits, power = plain(bare(mean)).split("×10^")
    assert float(digits.replace(MINUS, "-")) * 10.0 ** int(power) == pytest.approx(mean)
    value = spread(mean, 0.02 * abs(mean))
    assert plain(value, "pm").endswith(f")×10^{power}")
    assert plain(value, "ci").endswith(f"]×10^{power}")
    assert tex(value, "pm").endswith(rf")\papergenpower{{{power}}}")
    assert plain(bare(mean), "2").endswith("00")


def test_large_mean_and_interval_share_their_power() -> None:
    assert plain(spread(1.5e30, 2e28), "pm") == "(1.500 ± 0.020)×10^30"
    assert plain(spread(1.5e30, 2e28, "FLOP"), "pm,unit") == f"(1.500 ± 0.020)×10^30{THIN}FLOP"
    assert plain(spread(1.5e30, 2e28)) == "1.5×10^30"
