"""How tensor operations were measured, in the words of a method section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from papergen.core.phrase import Phrase
from papergen.ml.ops.catalogue import CEILINGS
from papergen.ml.ops.settings import OpsSettings

DECIDES_NUMBERS = False

METHOD = Phrase(
    "We measure {count} tensor operations of PyTorch~\\cite{{paszke2019pytorch}} on standard normal operands "
    "of about $n^2$ elements, $n = {sizes}$. "
    "Before an operation is timed, its result is compared with that of NumPy~\\cite{{harris2020array}} in double "
    "precision on the same operands: what moves elements must agree bit for bit, what computes within the bound "
    "that rounding explains. Time is taken in {rounds} rounds in which PyTorch and NumPy take turns, "
    "each for at least {ms}\\,ms after a warm-up, with {threads}; a round's figure is the median of its blocks. "
    "Throughput counts the bytes that must be read and written at least once.\n",
    "我们测量 PyTorch~\\cite{{paszke2019pytorch}} 的 {count} 种张量运算，"
    "操作数服从标准正态分布，各约有 $n^2$ 个元素，$n = {sizes}$。"
    "计时之前，先把结果与 NumPy~\\cite{{harris2020array}} "
    "在同样操作数上的双精度结果相比较：只移动元素的运算必须逐位一致，有计算的运算不得超过舍入所能解释的误差。"
    "计时共 {rounds} 轮，PyTorch 与 NumPy 轮流进行，预热之后各至少 {ms}\\,ms，"
    "使用 {threads} 个 CPU 线程；一轮的数值是其各段的中位数。"
    "吞吐量按至少要读写一次的字节计。\n",
)
ROOF = Phrase(
    "What a row reaches is set beside the ceilings of the roofline model~\\cite{{williams2009roofline}}, which are "
    "measured on the same machine: the fastest of several large products, and the fastest of the kernels of "
    "STREAM~\\cite{{mccalpin1995stream}} and a dot product, on working sets from {smallest} to {largest}.\n",
    "各行所达到的速度与屋顶线模型~\\cite{{williams2009roofline}} 的上限相比较，这些上限在同一台机器上测得："
    "几个大型乘积中最快的一个，以及 STREAM~\\cite{{mccalpin1995stream}} 各内核与点积中最快的一个，"
    "其工作集从 {smallest} 到 {largest}。\n",
)


def method(rows: Mapping[str, OpsSettings], *, num_threads: Sequence[int], working_sets: Sequence[int]) -> Phrase:
    """The passage as LaTeX, from the parameters of the rows.

    `num_threads`: the numbers of CPU threads they ran with; `working_sets`: bytes on which the bandwidth was measured,
    none without a row of ceilings.
    """
    operations = [params for params in rows.values() if params.op != CEILINGS]
    first = operations[0]
    facts: dict[str, Any] = {
        "count": len({params.op for params in operations}),
        "sizes": ", ".join(str(size) for size in sorted({params.size for params in operations})),
        "rounds": first.num_rounds,
        "ms": f"{first.min_run_time_s * 1000:g}",
    }
    threads = " or ".join(map(str, num_threads))
    plural = "s" if max(num_threads) > 1 else ""
    facts["threads"] = Phrase(f"{threads} CPU thread{plural}", " 或 ".join(map(str, num_threads)))
    passage = METHOD
    if working_sets:
        passage = Phrase(METHOD + ROOF, METHOD.zh + ROOF.zh)
        facts |= {"smallest": _amount(min(working_sets)), "largest": _amount(max(working_sets))}
    return passage.format(**facts)


def _amount(num_bytes: int) -> str:
    return f"{num_bytes >> 10}\\,KiB" if num_bytes < 2**20 else f"{num_bytes >> 20}\\,MiB"
