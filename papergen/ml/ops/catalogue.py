"""The operations that are measured, as data: the very expression that is timed, its numpy counterpart, its arithmetic.

Importable without torch. Every operand has about size x size elements, whatever its shape, so that the rows of a table
do the same order of work. `n` is the size, `m` a quarter of it (the side of the 16 matrices of a batch).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from papergen.core.phrase import Phrase

Family = Literal["product", "elementwise", "attention", "mask", "shape", "slice", "creation", "ceiling"]
Accuracy = Literal["exact", "product", "elementwise", "attention", "random"]

NUM_MATRICES = 16
"""Matrices of a batch; with a side of n/4 they have n x n elements together."""
NUM_HEADS = 4
HEAD_DIM = 64

ITEM_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int64": 8, "int32": 4}
"""dtype -> bytes of an element."""
INTEGERS = ("int64", "int32")

Shape = tuple[int, ...]
Sized = Callable[[int], Shape]
"""size -> the shape of an operand."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation. Operands `a`, `b`, ... are standard normal, drawn in float64 and rounded to the dtype.

    Integer operands are uniform on -9 to 9: every sum and power stays far below what int32 holds.
    """

    name: str
    label: str
    """Plain text for tables."""
    family: Family
    torch: str
    """What is timed: an expression over a, b, ..., n, m, torch, dtype, device and the helpers of `expressions`."""
    numpy: str
    """The same by numpy, over np and the same names; evaluated on float64 operands it is the reference."""
    shapes: Callable[[int], tuple[Shape, ...]]
    """size -> the operands' shapes."""
    accuracy: Accuracy
    """"exact": bit for bit; else which error bound holds (see `accuracy`)."""
    num_flops: Callable[[int], float] = lambda n: 0.0
    """size -> additions and multiplications; an elementwise function counts as one."""
    num_moved: Callable[[int], float] = lambda n: 0.0
    """size -> elements that must be read and written at least once; none for a view."""
    num_terms: Callable[[int], int] = lambda n: 1
    """size -> products summed for one element of the result."""
    takes_dtype: bool = True
    """False where the result's type is fixed (random integers, a mask)."""
    takes_integers: bool = False
    """Whether integer dtypes make sense; their results are exact."""


def _matrix(n: int) -> Shape:
    return (n, n)


def _square(count: int) -> Callable[[int], tuple[Shape, ...]]:
    return lambda n: ((n, n),) * count


def _batch(n: int) -> Shape:
    return (NUM_MATRICES, n // 4, n // 4)


def _heads(n: int) -> tuple[Shape, ...]:
    return ((1, NUM_HEADS, n, HEAD_DIM),) * 3


def _contraction(first: Shape, second: Shape) -> tuple[int, int]:
    """Of a matmul: the products summed for one element of the result, and its elements, by numpy's rules of shapes.

    A 1-D operand stands for one row on the left and one column on the right; batches are broadcast.
    """
    num_rows = first[-2] if len(first) > 1 else 1
    num_columns = second[-1] if len(second) > 1 else 1
    batches = zip_longest(reversed(first[:-2]), reversed(second[:-2]), fillvalue=1)
    return first[-1], math.prod(max(pair) for pair in batches) * num_rows * num_columns


def _product(name: str, label: str, first: Sized, second: Sized, torch: str = "torch.matmul(a, b)") -> Operation:
    """A product of two operands; flops, elements moved and terms follow from their shapes."""
    return Operation(
        name=name,
        label=label,
        family="product",
        torch=torch,
        numpy="np.matmul(a, b)",
        shapes=lambda n: (first(n), second(n)),
        accuracy="product",
        num_flops=lambda n: 2.0 * math.prod(_contraction(first(n), second(n))),
        num_moved=lambda n: math.prod(first(n)) + math.prod(second(n)) + float(_contraction(first(n), second(n))[1]),
        num_terms=lambda n: _contraction(first(n), second(n))[0],
        takes_integers=True,
    )


_PRODUCTS = (
    _product(
        "matmul_1d_1d",
        Phrase("matmul, 1-D by 1-D (dot product)", "matmul，一维乘一维（点积）"),
        lambda n: (n * n,),
        lambda n: (n * n,),
    ),
    _product("matmul_2d_2d", Phrase("matmul, 2-D by 2-D", "matmul，二维乘二维"), _matrix, _matrix),
    _product("matmul_1d_2d", Phrase("matmul, 1-D by 2-D", "matmul，一维乘二维"), lambda n: (n,), _matrix),
    _product("matmul_2d_1d", Phrase("matmul, 2-D by 1-D", "matmul，二维乘一维"), _matrix, lambda n: (n,)),
    _product("matmul_batched", Phrase("matmul, batch by batch", "matmul，批乘批"), _batch, _batch),
    _product("matmul_batched_1d", Phrase("matmul, batch by 1-D", "matmul，批乘一维"), _batch, lambda n: (n // 4,)),
    _product("matmul_1d_batched", Phrase("matmul, 1-D by batch", "matmul，一维乘批"), lambda n: (n // 4,), _batch),
    _product(
        "matmul_batched_2d", Phrase("matmul, batch by 2-D", "matmul，批乘二维"), _batch, lambda n: (n // 4, n // 4)
    ),
    _product(
        "matmul_2d_batched", Phrase("matmul, 2-D by batch", "matmul，二维乘批"), lambda n: (n // 4, n // 4), _batch
    ),
    _product(
        "matmul_broadcast",
        Phrase("matmul, broadcast over the batch", "matmul，沿批广播"),
        lambda n: (4, 1, n // 4, n // 4),
        lambda n: (4, n // 4, n // 4),
    ),
    _product("bmm", "bmm", _batch, _batch, "torch.bmm(a, b)"),
    Operation(
        name="linear",
        label="Linear",
        family="product",
        torch="torch.nn.functional.linear(a, b, c)",
        numpy="np.matmul(a, b.T) + c",
        shapes=lambda n: ((n, n), (n, n), (n,)),
        accuracy="product",
        num_flops=lambda n: 2.0 * n**3 + n * n,
        num_moved=lambda n: 3.0 * n * n + n,
        num_terms=lambda n: n + 1,
        takes_integers=True,
    ),
)

_ELEMENTWISE = tuple(
    Operation(
        name=name,
        label=label,
        family="elementwise",
        torch=torch,
        numpy=numpy,
        shapes=_square(arity),
        accuracy="elementwise",
        num_flops=lambda n: float(n * n),
        num_moved=lambda n, num_read=num_read: (num_read + 1.0) * n * n,  # type: ignore[misc]
        takes_integers=name not in {"sin", "cos"},
    )
    for name, label, torch, numpy, num_read, arity in (
        ("add", Phrase("addition", "加法"), "a + b", "a + b", 2, 2),
        ("add_out", Phrase("addition, out=", "加法，out="), "torch.add(a, b, out=c)", "np.add(a, b, out=c)", 2, 3),
        ("power", Phrase("power", "幂"), "torch.pow(a, 3)", "np.power(a, 3)", 1, 1),
        ("sin", Phrase("sine", "正弦"), "torch.sin(a)", "np.sin(a)", 1, 1),
        ("cos", Phrase("cosine", "余弦"), "torch.cos(a)", "np.cos(a)", 1, 1),
    )
)

_ATTENTION = tuple(
    Operation(
        name=name,
        label=label,
        family="attention",
        torch=torch,
        numpy="causal_attention(a, b, c)",
        shapes=_heads,
        accuracy="attention",
        # Two products over the causal half of the pairs, diagonal included; the softmax is not counted.
        num_flops=lambda n: 2 * 2.0 * NUM_HEADS * HEAD_DIM * n * (n + 1) / 2,
        num_moved=lambda n: 4.0 * NUM_HEADS * HEAD_DIM * n,
        num_terms=lambda n: n,
    )
    for name, label, torch in (
        (
            "attention_composed",
            Phrase("attention from matmul, mask and softmax", "由矩阵乘法、掩码和 softmax 组成的注意力"),
            "causal_attention(a, b, c)",
        ),
        (
            "attention_sdpa",
            "scaled_dot_product_attention",
            "torch.nn.functional.scaled_dot_product_attention(a, b, c, is_causal=True)",
        ),
    )
)


def _exact(
    family: Family,
    name: str,
    label: str,
    torch: str,
    numpy: str,
    *,
    shapes: Callable[[int], tuple[Shape, ...]] = lambda n: ((n, n),),
    moved: Callable[[int], float] = lambda n: 0.0,
    takes_dtype: bool = True,
    takes_integers: bool = True,
    accuracy: Accuracy = "exact",
) -> Operation:
    """An operation without arithmetic."""
    return Operation(
        name=name,
        label=label,
        family=family,
        torch=torch,
        numpy=numpy,
        shapes=shapes,
        accuracy=accuracy,
        num_moved=moved,
        takes_dtype=takes_dtype,
        takes_integers=takes_dtype and takes_integers,
    )


def _copied(n: int) -> float:
    """Every element read and written once."""
    return 2.0 * n * n


def _written(n: int) -> float:
    return float(n * n)


def _no_operands(_: int) -> tuple[Shape, ...]:
    return ()


_MASKS = (
    _exact("mask", "triu", "triu", "torch.triu(a, 1)", "np.triu(a, 1)", moved=_copied),
    _exact("mask", "tril", "tril", "torch.tril(a)", "np.tril(a)", moved=_copied),
    _exact(
        "mask",
        "causal_mask",
        Phrase("causal mask by tril", "由 tril 得到的因果掩码"),
        "torch.tril(torch.ones(n, n, device=device)) == 0",
        "np.tril(np.ones((n, n))) == 0",
        shapes=_no_operands,
        moved=_written,
        takes_dtype=False,
    ),
    _exact(
        "mask",
        "masked_fill",
        "masked_fill",
        "a.masked_fill(b > 0, float('-inf'))",
        "np.where(b > 0, -np.inf, a)",
        shapes=_square(2),
        moved=lambda n: 3.0 * n * n,
        takes_integers=False,  # no integer is minus infinity
    ),
)

_SHAPES = (
    _exact("shape", "view", "view", "a.view(n * n)", "a.reshape(n * n)"),
    _exact(
        "shape",
        "reshape",
        Phrase("reshape, contiguous", "reshape，连续"),
        "a.reshape(2 * n, n // 2)",
        "a.reshape(2 * n, n // 2)",
    ),
    _exact(
        "shape",
        "reshape_transposed",
        Phrase("reshape, transposed", "reshape，转置后"),
        "a.transpose(0, 1).reshape(n * n)",
        "a.T.reshape(n * n)",
        moved=_copied,
    ),
    _exact("shape", "transpose", "transpose", "a.transpose(0, 1)", "a.transpose(1, 0)"),
    _exact(
        "shape",
        "contiguous",
        Phrase("transpose, then contiguous", "转置后连续化"),
        "a.transpose(0, 1).contiguous()",
        "np.ascontiguousarray(a.T)",
        moved=_copied,
    ),
    _exact("shape", "unsqueeze", "unsqueeze", "a.unsqueeze(1)", "np.expand_dims(a, 1)"),
    _exact("shape", "expand", "expand", "a.expand(4, n, n)", "np.broadcast_to(a, (4, n, n))"),
)

_SLICES = (
    _exact("slice", "slice_stepped", "[1:, 0::2]", "a[1:, 0::2]", "a[1:, 0::2]"),
    _exact("slice", "slice_negative", "[:-1, -8:]", "a[:-1, -8:]", "a[:-1, -8:]"),
    _exact("slice", "slice_row", "[-1]", "a[-1]", "a[-1]"),
    # A torch slice takes no negative step: flip copies where numpy returns a view.
    _exact(
        "slice",
        "slice_reversed",
        Phrase("flip, [::-1] in numpy", "flip，numpy 为 [::-1]"),
        "torch.flip(a, (0,))",
        "a[::-1]",
        moved=_copied,
    ),
    _exact(
        "slice",
        "index_list",
        Phrase("rows by a list", "按列表取行"),
        "a[[0, -1, 1]]",
        "a[[0, -1, 1]]",
        moved=lambda n: 6.0 * n,
    ),
)

_CREATION = (
    _exact(
        "creation",
        "zeros",
        "zeros",
        "torch.zeros(n, n, dtype=dtype, device=device)",
        "np.zeros((n, n), dtype)",
        shapes=_no_operands,
        moved=_written,
    ),
    _exact(
        "creation",
        "arange_reshape",
        Phrase("arange, then reshape", "arange 后 reshape"),
        "torch.arange(n * n, device=device).reshape(n, n)",
        "np.arange(n * n).reshape(n, n)",
        shapes=_no_operands,
        moved=_written,
        takes_dtype=False,
    ),
    _exact(
        "creation",
        "randint",
        "randint",
        "torch.randint(0, 10, (n, n), device=device)",
        "rng.integers(0, 10, (n, n))",
        shapes=_no_operands,
        moved=_written,
        takes_dtype=False,
        accuracy="random",
    ),
    _exact(
        "creation",
        "array",
        Phrase("tensor or array from nested lists", "由嵌套列表建张量或数组"),
        "torch.tensor(lists, dtype=dtype, device=device)",
        "np.array(lists, dtype)",
        shapes=_no_operands,
        moved=_written,
    ),
    _exact(
        "creation",
        "from_numpy",
        "from_numpy",
        "torch.from_numpy(array)",
        "np.asarray(array)",
        shapes=_no_operands,
        takes_dtype=False,
    ),
)

CEILINGS = "ceilings"
"""Not an operation: what this machine can do at most, by a large product and large copies."""

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (*_PRODUCTS, *_ATTENTION, *_ELEMENTWISE, *_MASKS, *_SHAPES, *_SLICES, *_CREATION)
}
