"""Every operation is what numpy says it is, copies or shares memory as PyTorch documents, and is timed."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from papergen.core.errors import ResultError
from papergen.experiment.registry import load_kinds
from papergen.ml.ops.accuracy import check, gamma
from papergen.ml.ops.catalogue import CEILINGS, INTEGERS, ITEM_BYTES, OPERATIONS
from papergen.ml.ops.ceilings import measure_ceilings
from papergen.ml.ops.expressions import bind, causal_attention, shares_memory
from papergen.ml.ops.timing import time_operation

KIND = load_kinds(None)["ops"]
VIEWS = {
    "view",
    "reshape",
    "transpose",
    "unsqueeze",
    "expand",
    "add_out",  # no view, but in the memory it was given
    "slice_stepped",
    "slice_negative",
    "slice_row",
    "from_numpy",
}
DTYPES = ("float32", "float64", "bfloat16", "float16", "int64", "int32")


def bound(name: str, *, size: int = 32, dtype: str = "float32", seed: int = 0) -> Any:
    return bind(OPERATIONS[name], size=size, dtype=dtype, device="cpu", seed=seed)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name, operation in OPERATIONS.items()
        for dtype in DTYPES
        if dtype not in INTEGERS or operation.takes_integers
    ],
)
def test_every_operation_agrees_with_numpy_in_double_precision(name: str, dtype: str) -> None:
    operation = OPERATIONS[name]
    accuracy = check(operation, bound(name, dtype=dtype), size=32, dtype=dtype)
    if operation.accuracy == "exact" or dtype in INTEGERS:
        assert accuracy.relative_error == 0
    elif operation.accuracy != "random":
        assert accuracy.relative_error is not None
        assert accuracy.error_bound is not None
        assert accuracy.relative_error <= accuracy.error_bound
        # One roundoff is what a result stored in the dtype must be expected to have.
        assert accuracy.relative_error < 4 * torch.finfo(getattr(torch, dtype)).eps


@pytest.mark.parametrize("name", OPERATIONS)
def test_views_share_the_memory_of_their_operand_and_the_rest_does_not(name: str) -> None:
    found = shares_memory(OPERATIONS[name], bound(name))
    if OPERATIONS[name].shapes(32) or name == "from_numpy":
        assert found is (name in VIEWS)
    else:
        assert found is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("matmul_2d_2d", lambda a, b: torch.matmul(a, b) * (1 + 1e-3)),
        ("transpose", lambda a: a),
        ("sin", lambda a: torch.sin(a) + 1e-5),
        ("attention_sdpa", lambda a, b, c: torch.nn.functional.scaled_dot_product_attention(a, b, c)),
        ("randint", lambda: torch.randint(0, 9, (32, 32))),
        ("slice_row", lambda a: a[0]),
    ],
)
def test_a_wrong_result_fails_the_check(name: str, wrong: Any) -> None:
    right = bound(name)
    operands = [right.torch_names[letter] for letter in "abc" if letter in right.torch_names]
    faulty = SimpleNamespace(
        torch=lambda: wrong(*operands), reference=right.reference, magnitude=right.magnitude, operands=right.operands
    )
    with pytest.raises(ResultError, match=name):
        check(OPERATIONS[name], faulty, size=32, dtype="float32")  # type: ignore[arg-type]


def test_operands_depend_on_the_seed_alone() -> None:
    assert torch.equal(bound("add").torch_names["a"], bound("add").torch_names["a"])
    assert not torch.equal(bound("add").torch_names["a"], bound("add", seed=1).torch_names["a"])
    rounded = bound("add", dtype="bfloat16")
    assert np.array_equal(rounded.operands[0], rounded.torch_names["a"].double().numpy())


def test_composed_attention_ignores_later_positions() -> None:
    query, key, value = (torch.randn(1, 2, 5, 4) for _ in range(3))
    before = causal_attention(query, key, value)
    key[:, :, 3:] = 0
    value[:, :, 3:] = 9
    assert torch.equal(causal_attention(query, key, value)[:, :, :3], before[:, :, :3])


def test_flops_and_bytes_of_hand_counted_cases() -> None:
    product = OPERATIONS["matmul_2d_2d"]
    assert product.num_flops(4) == 2 * 64  # 16 elements, 4 products and 4 sums each
    assert product.num_moved(4) == 48  # two operands read, one result written
    assert OPERATIONS["linear"].num_flops(4) == 128 + 16
    assert OPERATIONS["add"].num_moved(4) == 48
    assert OPERATIONS["power"].num_moved(4) == 32
    assert OPERATIONS["add_out"].num_moved(4) == 48  # the third operand is written, not read
    assert OPERATIONS["transpose"].num_moved(4) == 0
    dot = OPERATIONS["matmul_1d_1d"]
    assert (dot.num_flops(4), dot.num_moved(4), dot.num_terms(4)) == (2 * 16, 33, 16)
    row = OPERATIONS["matmul_1d_2d"]
    assert (row.num_flops(4), row.num_moved(4), row.num_terms(4)) == (2 * 16, 4 + 16 + 4, 4)
    # 4 x 1 batches of 8 x 8 matrices by 4 of them: 16 products.
    broadcast = OPERATIONS["matmul_broadcast"]
    assert (broadcast.num_flops(32), broadcast.num_moved(32)) == (2 * 16 * 8**3, (4 + 4 + 16) * 64)
    batch = OPERATIONS["matmul_batched_1d"]
    assert (batch.num_flops(32), batch.num_moved(32)) == (2 * 16 * 64, 16 * 64 + 8 + 16 * 8)
    # T = 4 positions attend to 1 + 2 + 3 + 4 = 10 pairs; two products of 64 terms in 4 heads.
    assert OPERATIONS["attention_sdpa"].num_flops(4) == 2 * 2 * 4 * 64 * 10


@pytest.mark.parametrize("name", [name for name, one in OPERATIONS.items() if one.family == "product"])
def test_the_elements_of_a_product_are_those_that_numpy_returns(name: str) -> None:
    operation = OPERATIONS[name]
    right = bound(name)
    moved = sum(operand.size for operand in right.operands) + right.reference().size
    assert operation.num_moved(32) == moved
    bias = right.reference().size if name == "linear" else 0
    terms = operation.num_terms(32) - (name == "linear")
    assert operation.num_flops(32) == 2 * terms * right.reference().size + bias


@pytest.mark.parametrize("dtype", ITEM_BYTES)
def test_the_bytes_of_an_element_are_those_of_torch(dtype: str) -> None:
    assert ITEM_BYTES[dtype] == getattr(torch, dtype).itemsize


def test_gamma_is_the_textbook_bound_for_few_terms_and_grows_by_the_root_for_many() -> None:
    unit = 2.0**-24
    assert gamma(10, unit) == pytest.approx(10 * unit / (1 - 10 * unit))
    assert gamma(10**8, unit) == pytest.approx(math.expm1(8 * 1e4 * unit + 1e8 * unit * unit / (1 - unit)))


def test_timing_takes_turns_and_reports_every_round() -> None:
    seen: list[tuple[int, int]] = []
    timed = time_operation(
        OPERATIONS["add"],
        bound("add"),
        num_rounds=3,
        min_run_time_s=0.001,
        num_threads=1,
        is_compiled=False,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert len(timed.torch_us) == 3
    assert timed.numpy_us is not None
    assert all(0 < us < 1e6 for us in [*timed.torch_us, *timed.numpy_us])
    assert timed.compiled_us is None


def test_numpy_takes_no_part_where_it_lacks_the_type() -> None:
    assert bound("add", dtype="bfloat16").numpy_names is None
    assert bound("add", dtype="float16").numpy_names is not None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own, on the way to its compiler
def test_the_compiled_expression_is_timed_too() -> None:
    timed = time_operation(
        OPERATIONS["power"],
        bound("power"),
        num_rounds=2,
        min_run_time_s=0.001,
        num_threads=1,
        is_compiled=True,
        progress=lambda *_: None,
    )
    assert timed.compiled_us is not None
    assert len(timed.compiled_us) == 2


def test_ceilings_are_not_below_what_an_operation_reaches() -> None:
    found = measure_ceilings(dtype="float64", device="cpu", num_threads=1, num_rounds=1, progress=lambda *_: None)
    assert found.gflops > 0.5
    assert found.gbytes_per_s > 0.5
    sizes, rates = zip(*found.bandwidths, strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(rates) == sorted(rates, reverse=True)
    assert (found.cached_gbytes_per_s, found.gbytes_per_s) == (rates[0], rates[-1])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"op": "matmul_2d_3d"}, "Did you mean matmul_2d_2d"),
        ({"op": "add", "size": 30}, "Try 32"),
        ({"op": CEILINGS, "compiled": True}, "no effect"),
        ({"op": "randint", "dtype": "float64"}, "a type of its own"),
        ({"op": "sin", "dtype": "int64"}, "Try float32"),
        ({"op": CEILINGS, "dtype": "int32"}, "Try float32"),
        ({"op": "from_numpy", "device": "cuda"}, "no effect"),
    ],
)
def test_senseless_parameters_are_refused_with_what_to_type(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KIND.params.model_validate(params)


def test_rows_that_cannot_run_here_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def reason(run_on: str, **params: Any) -> str | None:
        return KIND.unavailable(KIND.params.model_validate(params), run_on, int(run_on == "cuda"))

    assert reason("cpu", op="add") is None
    assert "needs a GPU" in str(reason("cpu", op="add", device="cuda"))
    assert reason("cuda", op="add", device="cuda") is None
    assert reason("cuda", op="add", device="cpu") is None
    assert "integer" in str(reason("cuda", op="bmm", dtype="int64"))
    assert reason("cuda", op="bmm", dtype="int64", device="cpu") is None
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "compiler" in str(reason("cpu", op="sin", compiled=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_agrees_on_a_gpu(name: str) -> None:
    operation = OPERATIONS[name]
    on_gpu = bind(operation, size=64, dtype="float32", device="cuda", seed=0)
    check(operation, on_gpu, size=64, dtype="float32")
    assert on_gpu.numpy_names is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_the_types_agree_on_a_gpu(dtype: str) -> None:
    for name in ("matmul_2d_2d", "linear", "attention_sdpa", "sin"):
        check(
            OPERATIONS[name], bind(OPERATIONS[name], size=64, dtype=dtype, device="cuda", seed=0), size=64, dtype=dtype
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_no_operation_passes_the_ceilings_of_a_gpu() -> None:
    found = measure_ceilings(dtype="float32", device="cuda", num_threads=1, num_rounds=3, progress=lambda *_: None)
    product = OPERATIONS["matmul_2d_2d"]
    timed = time_operation(
        product,
        bind(product, size=2048, dtype="float32", device="cuda", seed=0),
        num_rounds=3,
        min_run_time_s=0.02,
        num_threads=1,
        is_compiled=False,
        progress=lambda *_: None,
    )
    assert product.num_flops(2048) / min(timed.torch_us) / 1e3 <= 1.05 * found.gflops
