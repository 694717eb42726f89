"""The only module that imports matplotlib: a Figure's data becomes a vector PDF fit for a two-column paper."""

from __future__ import annotations

import functools
import io
import logging
import math
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.figure
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from papergen.core.errors import MachineError, PapergenError
from papergen.report.figures import cjk, style
from papergen.report.figures.figure import Figure, Series
from papergen.report.figures.labels import put_labels
from papergen.report.figures.style import look_of

NUM_MARKED = 16
"""A line of more points than this has no markers, and its intervals are a band."""


def draw(figure: Figure, width_in: float) -> bytes:
    """The figure as PDF bytes, `width_in` inches wide. PapergenError when a glyph is missing or a formula is wrong."""
    with mpl.rc_context(), warnings.catch_warnings():
        logging.getLogger("fontTools").setLevel(logging.ERROR)  # it tells of every table it drops from a font
        warnings.filterwarnings("error", message=r"(?s)Glyph .* missing from")
        mpl.rcdefaults()
        for name, setting in style.RC.items():
            mpl.rcParams[name] = setting  # type: ignore[index]
        mpl.rcParams["font.family"] = [*style.RC["font.family"], *_extra_fonts(figure)]
        picture = mpl.figure.Figure(figsize=(width_in, width_in * figure.aspect))
        FigureCanvasAgg(picture)  # measures texts; the PDF is written by savefig
        axes = picture.add_subplot()
        try:
            _draw_kind(figure, axes)
            _dress(figure, axes)
            _legend(figure, picture, axes)
            picture.draw_without_rendering()
            put_labels(figure, picture, axes)
            stream = io.BytesIO()
            picture.savefig(stream, format="pdf", metadata={"CreationDate": None, "Title": figure.name})
        except UserWarning as error:
            raise _glyph_error(figure, str(error)) from error
        except ValueError as error:
            if "$" in "".join(_texts(figure)):
                raise PapergenError(f"figure {figure.name}: a formula in a label is wrong: {error}") from error
            raise
    return stream.getvalue()


def _draw_kind(figure: Figure, axes: Axes) -> None:
    if figure.kind in {"bar", "stacked"}:
        _bars(figure, axes)
    elif figure.kind == "hist":
        _histograms(figure, axes)
    else:
        looks = iter(range(len(figure.series)))
        for order, series in enumerate(figure.series):
            look = look_of(series, 0 if series.is_reference else next(looks))
            if figure.kind == "scatter" and series.is_curve:
                _curve(axes, series, look)
            elif figure.kind == "scatter":
                _cloud(axes, series, look, order)
            else:
                _line(figure, axes, series, look, order)


def _line(figure: Figure, axes: Axes, series: Series, look: dict[str, Any], order: int) -> None:
    is_marked = series.num_points == 1 or (figure.kind == "line" and series.num_points <= NUM_MARKED)
    x: Any = series.x
    label = series.label or None
    drawn = {**look, "marker": look["marker"] if is_marked else "", "zorder": 3 + order / 100}
    if series.low is not None and series.high is not None and is_marked:
        axes.errorbar(
            x, series.y, yerr=_lengths(series.y, series.low, series.high), label=label, elinewidth=0.8, **drawn
        )
        return
    axes.plot(x, series.y, label=label, **drawn)
    if series.low is not None and series.high is not None:
        axes.fill_between(x, series.low, series.high, color=look["color"], alpha=0.18, linewidth=0, zorder=2)


def _curve(axes: Axes, series: Series, look: dict[str, Any]) -> None:
    x: Any = series.x
    axes.plot(x, series.y, label=series.label or None, color=style.GREY, linestyle=look["linestyle"], zorder=2)


def _cloud(axes: Axes, series: Series, look: dict[str, Any], order: int) -> None:
    x: Any = series.x
    if series.num_points > style.RASTER_FROM:
        axes.scatter(
            x, series.y, s=2, color=look["color"], alpha=0.35, linewidths=0, rasterized=True, label=series.label
        )
        return
    drawn = {"color": look["color"], "marker": look["marker"], "linestyle": "none", "zorder": 3 + order / 100}
    across = None if series.x_low is None or series.x_high is None else _lengths(x, series.x_low, series.x_high)
    up = None if series.low is None or series.high is None else _lengths(series.y, series.low, series.high)
    label = (series.label or None) if series.names is None else None
    size = 7.0 if look["marker"] == "*" else 4.6
    axes.errorbar(x, series.y, xerr=across, yerr=up, elinewidth=0.7, capsize=0, markersize=size, label=label, **drawn)


def _bars(figure: Figure, axes: Axes) -> None:
    names = list(dict.fromkeys(name for series in figure.series for name in series.x))
    places = {name: index for index, name in enumerate(names)}
    is_stacked = figure.kind == "stacked"
    breadth = 0.62 if is_stacked else 0.8 / len(figure.series)
    heights = dict.fromkeys(names, 0.0)
    for index, series in enumerate(figure.series):
        shift = 0.0 if is_stacked else (index - (len(figure.series) - 1) / 2) * breadth
        look = look_of(series, index)
        errors = None if series.low is None or series.high is None else _lengths(series.y, series.low, series.high)
        axes.bar(
            [places[name] + shift for name in series.x],
            series.y,
            width=breadth * 0.92,
            bottom=[heights[name] for name in series.x] if is_stacked else 0.0,
            yerr=errors,
            color=look["color"],
            edgecolor="white",
            hatch=style.HATCHES[index % len(style.HATCHES)],
            error_kw={"elinewidth": 0.8, "ecolor": "black"},
            label=series.label or None,
            zorder=2,
        )
        for name, height in zip(series.x, series.y, strict=True):
            heights[name] += height if is_stacked else 0.0
    axes.grid(visible=False, axis="x")
    axes.set_xticks(range(len(names)), [str(name) for name in names])
    axes.tick_params(axis="x", length=0)
    room = axes.get_figure().get_figwidth() * 72 / max(1, len(names))  # type: ignore[union-attr]
    halves = [sum(2 if ord(char) >= 0x2E80 else 1 for char in str(name)) for name in names]
    if max(halves) * style.SMALL_PT * 0.5 > room * 0.85:
        axes.tick_params(axis="x", labelrotation=30)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")


def _histograms(figure: Figure, axes: Axes) -> None:
    pool: list[Any] = [value for series in figure.series for value in series.x]
    low, high = min(pool), max(pool)
    if figure.x_scale == "log":
        ratio = (high / low) ** (1 / figure.num_bins) if high > low else 2.0
        edges = [low * ratio**index for index in range(figure.num_bins + 1)]
    else:
        step = (high - low) / figure.num_bins or 1.0
        edges = [low + step * index for index in range(figure.num_bins + 1)]
    edges[-1] = max(edges[-1], high)
    for index, series in enumerate(figure.series):
        look = look_of(series, index)
        values: Any = series.x
        shared = {"bins": edges, "histtype": "stepfilled", "zorder": 2 + index / 100}
        axes.hist(values, color=look["color"], alpha=0.25, **shared)  # type: ignore[arg-type]
        shared["histtype"] = "step"
        label = series.label or None
        axes.hist(values, edgecolor=look["color"], linestyle=look["linestyle"], linewidth=1.0, label=label, **shared)  # type: ignore[arg-type]


def _counts(figure: Figure) -> bool:
    """Whether all places across are whole numbers: steps, tokens, processes."""
    return all(float(place).is_integer() for series in figure.series for place in series.x)


def _dress(figure: Figure, axes: Axes) -> None:
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(figure.y_label)
    if figure.kind not in {"bar", "stacked"}:
        axes.set_xscale(figure.x_scale)
    axes.set_yscale(figure.y_scale)
    if figure.kind == "scatter":
        axes.margins(0.13)
    if figure.kind in {"line", "band"}:
        axes.margins(x=0.03)
    for axis, scale in ((axes.xaxis, figure.x_scale), (axes.yaxis, figure.y_scale)):
        if scale == "log":
            low, high = sorted(axis.get_view_interval())
            decades = math.log10(high / low) if low > 0 else 9
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)))
            if low >= 1e-4 and high < 1e6:
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        elif isinstance(axis.get_major_formatter(), ScalarFormatter):
            axis.set_major_formatter(PlainTicks())
    if figure.kind in {"line", "band"} and figure.x_scale == "linear" and _counts(figure):
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    if figure.kind == "hist" and figure.y_scale == "linear":
        axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    if figure.x_ticks is not None:
        axes.set_xticks(list(figure.x_ticks), [f"{tick:g}" for tick in figure.x_ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(*figure.x_limits)
    axes.set_ylim(*figure.y_limits)
    for rule in figure.rules:
        across = axes.axhline if rule.axis == "y" else axes.axvline
        across(rule.value, color=style.GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1.5)
    for note in figure.notes:
        axes.text(note.x, note.y, note.text, fontsize=style.SMALL_PT, ha="center", va="bottom", zorder=6)


class PlainTicks(ScalarFormatter):
    """Numbers at ticks as plain text, the power of ten beside the axis as a formula.

    matplotlib makes formulas of all of them where one is wanted, and parsing formulas took a third of the drawing.
    """

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The number at a tick."""
        return super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")


def _legend(figure: Figure, picture: mpl.figure.Figure, axes: Axes) -> None:
    """Above the axes, where it covers nothing, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels or (len(labels) == 1 and not any(series.is_reference for series in figure.series)):
        return
    for columns in range(len(labels), 0, -1):
        balanced = math.ceil(len(labels) / math.ceil(len(labels) / columns))
        legend = picture.legend(handles, labels, loc="outside upper center", ncols=balanced, columnspacing=1.2)
        if columns == 1 or legend.get_window_extent().width <= picture.bbox.width * 0.98:
            return
        legend.remove()


def _lengths(centre: Sequence[Any], low: Sequence[float], high: Sequence[float]) -> list[list[float]]:
    """Interval ends as the lengths that matplotlib wants."""
    down = [max(0.0, y - end) for y, end in zip(centre, low, strict=True)]
    up = [max(0.0, end - y) for y, end in zip(centre, high, strict=True)]
    return [down, up]


def _texts(figure: Figure) -> list[str]:
    texts = [figure.x_label, figure.y_label, *(rule.label for rule in figure.rules), *(n.text for n in figure.notes)]
    for series in figure.series:
        texts += [series.label, *(series.names or ()), *(x for x in series.x if isinstance(x, str))]
    return texts


def _extra_fonts(figure: Figure) -> list[str]:
    """Families asked for letters that the default font lacks."""
    if figure.font:
        try:
            findfont(FontProperties(family=figure.font), fallback_to_default=False)
        except ValueError as error:
            raise MachineError(
                f"figure {figure.name}: the font {figure.font!r} is not installed.",
                hint="Install it (`fc-list` shows what there is), or name another one.",
            ) from error
        return [figure.font]
    found = ["DejaVu Sans"]
    if any(ord(char) >= 0x2E80 for text in _texts(figure) for char in text):
        return [*map(_family, cjk.cjk_fonts()), *found]
    return found


@functools.cache
def _family(path: str) -> str:
    """The name under which matplotlib knows a font file from now on."""
    fontManager.addfont(path)
    return str(FontProperties(fname=path).get_name())


def _glyph_error(figure: Figure, warning: str) -> PapergenError:
    character = warning.split("\\N{")[0].split()[1] if warning.startswith("Glyph") else ""
    shown = f"U+{int(character):04X} ({chr(int(character))})" if character.isdigit() else warning
    return MachineError(
        f"figure {figure.name}: no font has the character {shown}.",
        hint=cjk.advice(),
    )
