"""The operations that are measured, as data: the very expression that is timed, its numpy counterpart, its arithmetic.

Importable without torch. Every operand has about size x size elements, whatever its shape, so that the rows of a table
do the same order of work. `n` is the size, `m` a quarter of it (the side of the 16 matrices of a batch).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Family = Literal["product", "elementwise", "attention", "mask", "shape", "slice", "creation", "ceiling"]
Accuracy = Literal["exact", "product", "elementwise", "attention", "random"]

NUM_MATRICES = 16
"""Matrices of a batch; with a side of n/4 they have n x n elements together."""
NUM_HEADS = 4
HEAD_DIM = 64

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation. Operands `a`, `b`, ... are standard normal, drawn in float64 and rounded to the dtype."""

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

    @property
    def arity(self) -> int:
        """Number of operands."""
        return len(self.shapes(16))


def _square(count: int) -> Callable[[int], tuple[Shape, ...]]:
    return lambda n: ((n, n),) * count


def _batch(n: int) -> Shape:
    return (NUM_MATRICES, n // 4, n // 4)


def _heads(n: int) -> tuple[Shape, ...]:
    return ((1, NUM_HEADS, n, HEAD_DIM),) * 3


_PRODUCTS = (
    Operation(
        name="matmul_1d_1d",
        label="matmul, 1-D by 1-D (dot product)",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: ((n * n,), (n * n,)),
        accuracy="product",
        num_flops=lambda n: 2.0 * n * n,
        num_moved=lambda n: 2.0 * n * n + 1,
        num_terms=lambda n: n * n,
    ),
    Operation(
        name="matmul_2d_2d",
        label="matmul, 2-D by 2-D",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=_square(2),
        accuracy="product",
        num_flops=lambda n: 2.0 * n**3,
        num_moved=lambda n: 3.0 * n * n,
        num_terms=lambda n: n,
    ),
    Operation(
        name="matmul_1d_2d",
        label="matmul, 1-D by 2-D",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: ((n,), (n, n)),
        accuracy="product",
        num_flops=lambda n: 2.0 * n * n,
        num_moved=lambda n: n * n + 2.0 * n,
        num_terms=lambda n: n,
    ),
    Operation(
        name="matmul_2d_1d",
        label="matmul, 2-D by 1-D",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: ((n, n), (n,)),
        accuracy="product",
        num_flops=lambda n: 2.0 * n * n,
        num_moved=lambda n: n * n + 2.0 * n,
        num_terms=lambda n: n,
    ),
    Operation(
        name="matmul_batched",
        label="matmul, batch by batch",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: (_batch(n), _batch(n)),
        accuracy="product",
        num_flops=lambda n: 2.0 * NUM_MATRICES * (n // 4) ** 3,
        num_moved=lambda n: 3.0 * NUM_MATRICES * (n // 4) ** 2,
        num_terms=lambda n: n // 4,
    ),
    Operation(
        name="matmul_batched_1d",
        label="matmul, batch by 1-D",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: (_batch(n), (n // 4,)),
        accuracy="product",
        num_flops=lambda n: 2.0 * NUM_MATRICES * (n // 4) ** 2,
        num_moved=lambda n: NUM_MATRICES * ((n // 4) ** 2 + n // 4) + n // 4,
        num_terms=lambda n: n // 4,
    ),
    Operation(
        name="matmul_1d_batched",
        label="matmul, 1-D by batch",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: ((n // 4,), _batch(n)),
        accuracy="product",
        num_flops=lambda n: 2.0 * NUM_MATRICES * (n // 4) ** 2,
        num_moved=lambda n: NUM_MATRICES * ((n // 4) ** 2 + n // 4) + n // 4,
        num_terms=lambda n: n // 4,
    ),
    Operation(
        name="matmul_broadcast",
        label="matmul, broadcast over the batch",
        family="product",
        torch="torch.matmul(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: ((4, 1, n // 4, n // 4), (4, n // 4, n // 4)),
        accuracy="product",
        num_flops=lambda n: 2.0 * 16 * (n // 4) ** 3,
        num_moved=lambda n: (4 + 4 + 16) * (n // 4) ** 2,
        num_terms=lambda n: n // 4,
    ),
    Operation(
        name="bmm",
        label="bmm",
        family="product",
        torch="torch.bmm(a, b)",
        numpy="np.matmul(a, b)",
        shapes=lambda n: (_batch(n), _batch(n)),
        accuracy="product",
        num_flops=lambda n: 2.0 * NUM_MATRICES * (n // 4) ** 3,
        num_moved=lambda n: 3.0 * NUM_MATRICES * (n // 4) ** 2,
        num_terms=lambda n: n // 4,
    ),
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
        num_moved=lambda n, arity=arity: (arity + 1.0) * n * n,  # type: ignore[misc]
    )
    for name, label, torch, numpy, arity in (
        ("add", "addition", "a + b", "a + b", 2),
        ("power", "power", "torch.pow(a, 3)", "np.power(a, 3)", 1),
        ("sin", "sine", "torch.sin(a)", "np.sin(a)", 1),
        ("cos", "cosine", "torch.cos(a)", "np.cos(a)", 1),
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
        ("attention_composed", "attention from matmul, mask and softmax", "causal_attention(a, b, c)"),
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
        "causal mask by tril",
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
    ),
)

_SHAPES = (
    _exact("shape", "view", "view", "a.view(n * n)", "a.reshape(n * n)"),
    _exact("shape", "reshape", "reshape, contiguous", "a.reshape(2 * n, n // 2)", "a.reshape(2 * n, n // 2)"),
    _exact(
        "shape",
        "reshape_transposed",
        "reshape, transposed",
        "a.transpose(0, 1).reshape(n * n)",
        "a.T.reshape(n * n)",
        moved=_copied,
    ),
    _exact("shape", "transpose", "transpose", "a.transpose(0, 1)", "a.transpose(1, 0)"),
    _exact(
        "shape",
        "contiguous",
        "transpose, then contiguous",
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
    _exact("slice", "slice_reversed", "flip, [::-1] in numpy", "torch.flip(a, (0,))", "a[::-1]", moved=_copied),
    _exact("slice", "index_list", "rows by a list", "a[[0, -1, 1]]", "a[[0, -1, 1]]", moved=lambda n: 6.0 * n),
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
        "arange, then reshape",
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
        "tensor or array from nested lists",
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
