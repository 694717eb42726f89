"""Numbers as characters: rounding, separators, powers of ten, and back."""

import pytest

from papergen.core.numbers import MINUS, THIN, grouped, number_of, rounded, scientific, short, significant


@pytest.mark.parametrize(
    ("number", "decimals", "expected"),
    [
        (0.125, 2, "0.12"),
        (0.135, 2, "0.14"),
        (2.675, 2, "2.68"),
        (-0.04, 1, "0.0"),
        (-0.06, 1, "-0.1"),
        (12345.0, -1, "12340"),
        (1e-7, 2, "0.00"),
        (1e22, 0, "10000000000000000000000"),
        (1e28, 0, "1" + "0" * 28),
        (1.5e300, 2, "15" + "0" * 299 + ".00"),
        (5e-324, 3, "0.000"),
    ],
)
def test_rounding_is_half_even_on_the_printed_digits(number: float, decimals: int, expected: str) -> None:
    assert rounded(number, decimals) == expected


def test_thousands_from_five_digits_and_a_true_minus() -> None:
    assert grouped("1234.5") == "1234.5"
    assert grouped("-12345.678") == f"{MINUS}12{THIN}345.678"
    assert grouped("124439808") == f"124{THIN}439{THIN}808"


def test_significant_digits() -> None:
    assert [significant(number, 3) for number in (51207.0, 0.04213, -2.0, 0.0)] == ["51200", "0.0421", "-2.00", "0"]
    assert [significant(number, 2) for number in (0.0996, 0.994, 996.0)] == ["0.10", "0.99", "1000"]


def test_powers_of_ten() -> None:
    assert scientific(-0.0000123456) == f"{MINUS}1.2×10^{MINUS}5"
    assert scientific(2e30, 3) == "2.00×10^30"
    assert scientific(2e30, 3, keeps_zeros=False) == "2×10^30"
    assert scientific(0.0) == "0"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (3.21449, "3.214"),
        (0.5, "0.5"),
        (51203.4, f"51{THIN}203"),
        (1000.4, "1000"),
        (-0.25, f"{MINUS}0.25"),
        (0.0, "0"),
        (1e30, "1×10^30"),
        (0.00001234, f"1.234×10^{MINUS}5"),
        (float("nan"), "nan"),
        (999.96, "1000"),
    ],
)
def test_numbers_of_the_terminal(number: float, expected: str) -> None:
    assert short(number) == expected


def test_what_is_written_is_read_back() -> None:
    for number in (12345.0, -0.25, 1.2e-5, 3e30):
        assert number_of(scientific(number, 5)) == pytest.approx(number)
        assert number_of(short(number, 6)) == pytest.approx(number)
    assert short(0.25, is_signed=True) == "+0.25"
