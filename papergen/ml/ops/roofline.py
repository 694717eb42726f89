"""The roofline model (Williams, Waterman and Patterson 2009): what a machine grants an operation, and what was reached.

Attainable GFLOP/s = min(peak GFLOP/s, GB/s x FLOP/byte). Which GB/s is the question of caches: it is that measured on a
working set of as many bytes as the operation reads and writes, so that what lies in a cache is held against the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from papergen.core.phrase import Phrase
from papergen.report.figures.figure import Figure, Series
from papergen.report.values import Value

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What an operation reached."""

    gbytes_per_s: Value
    num_bytes: float
    """Bytes that it must read and write at least once."""
    gflops: Value | None = None
    """None without arithmetic."""
    flops_per_byte: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Roof:
    """The ceilings of one machine for one dtype."""

    peak: Value
    """GFLOP/s."""
    bandwidths: Sequence[tuple[float, float]]
    """(bytes of the working set, GB/s), from small ones to large ones."""

    @property
    def main(self) -> float:
        """GB/s of main memory: at the largest working set."""
        return self.bandwidths[-1][1]

    @property
    def cached(self) -> float:
        """GB/s of the fastest cache."""
        return self.bandwidths[0][1]

    def bandwidth(self, num_bytes: float) -> float:
        """GB/s granted to that many bytes: by the largest working set measured that is not larger."""
        return next((rate for size, rate in reversed(self.bandwidths) if size <= num_bytes), self.cached)

    def share(self, reached: Reached, key: str) -> Value:
        """Per cent of what is granted: of GFLOP/s with arithmetic, else of GB/s."""
        bandwidth = self.bandwidth(reached.num_bytes)
        if reached.gflops is None:
            return replace(reached.gbytes_per_s.scaled(100 / bandwidth), key=key, unit="%")
        granted = min(self.peak.mean, bandwidth * reached.flops_per_byte)
        return replace(reached.gflops.scaled(100 / granted), key=key, unit="%")


def roofline_figure(roof: Roof, families: Mapping[str, Sequence[Reached]]) -> Figure:
    """GFLOP/s over arithmetic intensity: what has arithmetic, under the ceilings of main memory and of the caches."""
    points = {label: [one for one in reached if one.gflops is not None] for label, reached in families.items()}
    intensities = [one.flops_per_byte for reached in points.values() for one in reached]
    left, right = min(intensities) / 2, max(*intensities, roof.peak.mean / roof.main) * 2
    series: list[Series] = []
    for label, bandwidth in ((Phrase("main memory", "主存"), roof.main), (Phrase("cache", "缓存"), roof.cached)):
        ridge = roof.peak.mean / bandwidth
        x = [left, ridge, right] if left < ridge < right else [left, right]
        y = [min(roof.peak.mean, bandwidth * at) for at in x]
        series.append(Series(label=label, x=x, y=y, is_curve=True, digests=roof.peak.digests))
    series += [
        _points(label, [(one.flops_per_byte, one.gflops) for one in reached if one.gflops is not None])
        for label, reached in points.items()
        if reached
    ]
    return Figure(
        name="roofline",
        kind="scatter",
        series=tuple(series),
        x_label=Phrase("Arithmetic intensity (FLOP/byte)", "计算强度 (FLOP/字节)"),
        y_label="GFLOP/s",
        x_scale="log",
        y_scale="log",
    )


def bandwidth_figure(roof: Roof, families: Mapping[str, Sequence[Reached]]) -> Figure:
    """GB/s over the bytes read and written, under the ceiling that falls from cache to cache to main memory.

    Left out is what arithmetic bounds: operations beyond the ridge of the roofline at their bytes.
    """
    curve = Series(
        label=Phrase("ceiling", "上限"),
        x=[size / MIB for size, _ in roof.bandwidths],
        y=[rate for _, rate in roof.bandwidths],
        is_curve=True,
        digests=roof.peak.digests,
    )
    bounded = {
        label: [
            (one.num_bytes / MIB, one.gbytes_per_s)
            for one in reached
            if roof.bandwidth(one.num_bytes) * one.flops_per_byte < roof.peak.mean
        ]
        for label, reached in families.items()
    }
    return Figure(
        name="bandwidth",
        kind="scatter",
        series=(curve, *(_points(label, points) for label, points in bounded.items() if points)),
        x_label=Phrase("Read and written (MiB)", "读写量 (MiB)"),
        y_label="GB/s",
        x_scale="log",
        y_scale="log",
    )


def _points(label: str, points: Sequence[tuple[float, Value]]) -> Series:
    return Series(
        label=label,
        x=[x for x, _ in points],
        y=[value.mean for _, value in points],
        digests=[digest for _, value in points for digest in value.digests],
    )
