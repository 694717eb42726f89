"""How exactly an operation was computed, against numpy in float64, and how exactly it must be.

The unit roundoff u is half the machine epsilon of the dtype. A sum of k products has the componentwise error bound
gamma_k |A||B| with gamma_k = k u / (1 - k u), whatever the order of summation (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed. 2002, section 3.5); where the roundoffs are independent, sqrt(k) takes the place of k
except with a probability that no run will see (Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019, theorem 2.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from papergen.core.errors import ResultError
from papergen.ml.ops.catalogue import INTEGERS, Operation
from papergen.ml.ops.expressions import Bound, attention_weights

ELEMENTWISE_ULPS = 8
"""Units in the last place granted to one elementwise function; vectorised sines are within 1 to 4."""
LAMBDA = 8.0
"""Of the probabilistic bound: one element exceeds it with probability 2 exp(-lambda^2 (1 - u)^2 / 2), about 2e-14."""
DOUBLE = 2.0**-53
"""Unit roundoff of float64."""
SINGLE = 2.0**-24
"""Unit roundoff of float32, in which kernels sum the products of narrower types."""
RESULT_ROUNDOFFS = 4
"""Roundoffs of the dtype granted to the result and the partial sums that a kernel may have stored."""
CHI_SQUARE_LIMIT = 56.0
"""Of ten equally likely digits (9 degrees of freedom): exceeded by chance once in about 1e8 draws."""


@dataclass(frozen=True)
class Accuracy:
    """Relative error in the Frobenius norm, and the largest that rounding explains; None for random numbers."""

    relative_error: float | None
    error_bound: float | None


def check(operation: Operation, bound: Bound, *, size: int, dtype: str) -> Accuracy:
    """How exact one evaluation is. ResultError when the result is wrong: beyond what rounding explains."""
    found = bound.torch()
    if operation.accuracy == "random":
        _uniform_digits(operation, found)
        return Accuracy(None, None)
    got = found.double().cpu().numpy()
    want = bound.reference()
    if got.shape != want.shape:
        raise ResultError(f"{operation.name}: torch returns the shape {got.shape}, numpy {want.shape}.")
    if operation.accuracy == "exact" or dtype in INTEGERS:
        if not np.array_equal(got, want.astype(np.float64)):
            raise ResultError(f"{operation.name}: torch and numpy return different numbers, and nothing is rounded.")
        return Accuracy(0.0, 0.0)
    got, want = got.astype(np.float64), want.astype(np.float64)
    norm = float(np.linalg.norm(want))
    error = float(np.linalg.norm(got - want)) / norm
    limit = _limit(operation, bound, size=size, dtype=dtype, norm=norm)
    if not error <= limit:
        raise ResultError(
            f"{operation.name}: the relative error is {error:.3g}, where rounding explains at most {limit:.3g}."
        )
    return Accuracy(error, limit)


def _limit(operation: Operation, bound: Bound, *, size: int, dtype: str, norm: float) -> float:
    """The largest relative error in the Frobenius norm that rounding explains."""
    unit = torch.finfo(getattr(torch, dtype)).eps / 2
    if operation.accuracy == "elementwise":
        return 2 * ELEMENTWISE_ULPS * unit
    summing = min(unit, SINGLE)
    # The reference is rounded too, in float64.
    terms = gamma(operation.num_terms(size), summing) + gamma(operation.num_terms(size), DOUBLE)
    if operation.accuracy == "product":
        return terms * float(np.linalg.norm(bound.magnitude())) / norm + RESULT_ROUNDOFFS * unit
    query, key, value = bound.operands
    weights, _ = attention_weights(query, key)
    # An error d of the scores changes a softmax weight by a factor of at most exp(2 d); then comes a sum of products.
    scores = np.matmul(np.abs(query), np.swapaxes(np.abs(key), -2, -1)) / math.sqrt(query.shape[-1])
    shift = 2 * (gamma(query.shape[-1], summing) + RESULT_ROUNDOFFS * unit) * float(scores.max())
    spread = float(np.linalg.norm(np.matmul(weights, np.abs(value)))) / norm
    return (math.expm1(shift) + terms + 2 * ELEMENTWISE_ULPS * unit) * spread


def gamma(terms: int, unit: float) -> float:
    """The smaller of gamma_k and its probabilistic counterpart exp(lambda sqrt(k) u + k u^2 / (1 - u)) - 1."""
    product = terms * unit
    surely = product / (1 - product) if product < 1 else math.inf
    return min(surely, math.expm1(LAMBDA * math.sqrt(terms) * unit + product * unit / (1 - unit)))


def _uniform_digits(operation: Operation, found: Any) -> None:
    counts = torch.bincount(found.flatten().cpu(), minlength=10)
    if len(counts) > 10:
        raise ResultError(f"{operation.name}: drew a number outside 0 to 9.")
    expected = found.numel() / 10
    chi_square = float(((counts.double() - expected) ** 2 / expected).sum())
    if chi_square > CHI_SQUARE_LIMIT:
        raise ResultError(f"{operation.name}: the digits are not equally likely (chi-square {chi_square:.1f}).")
