"""How figures look, as plain data: sizes from the template, colours that survive colour blindness and grey print."""

from __future__ import annotations

from typing import Any

from papergen.report.figures.figure import Series

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7A7A00")
"""Okabe and Ito's palette (Color Universal Design, 2008); yellow, too light for lines on white, became a dark olive."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (7, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")
GREY = "#6E6E6E"

FONT_PT = 8.0
SMALL_PT = 7.0
RASTER_FROM = 2000
"""A cloud of more points than this is stored as a picture of 300 dots per inch, or readers would stutter."""

RC: dict[str, Any] = {
    "font.size": FONT_PT,
    "axes.labelsize": FONT_PT,
    "axes.titlesize": FONT_PT,
    "xtick.labelsize": SMALL_PT,
    "ytick.labelsize": SMALL_PT,
    "legend.fontsize": SMALL_PT,
    "font.family": ["STIXGeneral"],
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "pdf.use14corefonts": False,
    "axes.unicode_minus": True,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "axes.formatter.use_mathtext": True,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "errorbar.capsize": 1.8,
    "patch.linewidth": 0.5,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.3,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
    "savefig.dpi": 300,
}
"""Matplotlib settings: all that decides the picture stands here or in the figure, never in the user's matplotlibrc.
STIXGeneral comes with matplotlib and goes with Times, so the bytes are the same on every machine.
"""


def look_of(series: Series, index: int) -> dict[str, Any]:
    """Colour, marker and line of a series, by its place among those that are no references."""
    if series.is_reference:
        return {"color": GREY, "marker": "*", "linestyle": (0, (2, 2))}
    pick = {"color": OKABE_ITO, "marker": MARKERS, "linestyle": LINES}
    return {name: choices[index % len(choices)] for name, choices in pick.items()}
