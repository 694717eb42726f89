"""Tables and figures that paper.yaml declares."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[a-z0-9][a-z0-9-]*$"
_ONE_OF_TWO = "write either from: EXPERIMENT or function: FILE.py:NAME."


class TableSpec(BaseModel):
    """One table: rows of an experiment down, metrics across."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(alias="from", description="Experiment whose rows it shows.")
    columns: list[str] = Field(description="Metrics, in order.", min_length=1)
    rows: list[str] | None = Field(default=None, description="Rows, in order; all when absent.")
    slice: str = Field(default="", description='Rows and columns as numpy would take them: "[1:, 0::2]".')
    labels: dict[str, str] = Field(default={}, description="Row -> what is printed for it.")
    headings: dict[str, str] = Field(default={}, description="Metric -> what is printed for it.")
    groups: dict[str, str] = Field(default={}, description="Metric -> heading above it and its neighbours.")
    row_groups: dict[str, str] = Field(default={}, description="Row -> heading above it and its neighbours.")
    corner: str = Field(default="", description="Heading of the labels.")
    show: Literal["pm", "mean"] = Field(default="pm", description="With half-widths of the intervals, or means alone.")
    decimals: dict[str, int] = Field(default={}, description="Metric -> decimals, in place of those that are earned.")
    percent: list[str] = Field(default=[], description="Metrics that are shares, printed in per cent.")
    n: bool = Field(default=False, description="Whether a column tells how many prompts or seeds are behind a row.")
    bold: bool = Field(default=True, description="Whether the best of a column is bold and the second underlined.")
    against: str | None = Field(default=None, description="Row from which significant differences are marked (Holm).")
    level: float = Field(default=0.05, gt=0, lt=1, description="Level of those tests.")
    references: list[str] = Field(default=[], description="Rows that are yardsticks: set apart, never best.")
    varies: list[Literal["data", "dtype", "hardware"]] = Field(default=[], description="What rows may differ in.")
    caption: str = Field(default="", description="LaTeX; with a caption the table is a whole float, label tab:NAME.")
    place: str = Field(default="t", pattern="^[htbpH!]+$", description="Where the float may stand.")
    max_rows: int = Field(default=40, ge=2, description="Rows after which the table goes on in another one.")


class FigureSpec(BaseModel):
    """One figure: a metric, two metrics or a logged series of an experiment's rows, or a function that makes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(default="", alias="from", description="Experiment whose rows it shows.")
    function: str = Field(default="", description="FILE.py:NAME, called with the results; it returns a Figure.")
    kind: Literal["line", "band", "bar", "scatter", "hist"] = Field(default="bar", description="What is drawn.")
    x: str = Field(default="", description="Metric across (scatter).")
    y: str = Field(default="", description="Metric (bar, scatter, hist) or logged series (line, band).")
    rows: list[str] | None = Field(default=None, description="Rows, in order; all when absent.")
    labels: dict[str, str] = Field(default={}, description="Row -> what is printed for it.")
    x_label: str = Field(default="", description="What the axis across says.")
    y_label: str = Field(default="", description="What the axis upwards says.")
    x_scale: Literal["linear", "log"] = Field(default="linear", description="Axis across.")
    y_scale: Literal["linear", "log"] = Field(default="linear", description="Axis upwards.")
    width: Literal["column", "full"] = Field(default="column", description="One column or the whole text.")
    aspect: float = Field(default=0.66, gt=0.1, le=3, description="Height over width.")
    references: list[str] = Field(default=[], description="Rows that are yardsticks: grey and dashed.")

    @model_validator(mode="after")
    def _is_whole(self) -> FigureSpec:
        if bool(self.source) == bool(self.function):
            raise ValueError(_ONE_OF_TWO)
        if self.source and not self.y:
            raise ValueError("y: is missing: the metric or the logged series that is drawn.")
        if self.source and self.kind == "scatter" and not self.x:
            raise ValueError("x: is missing: a scatter plot sets one metric against another.")
        return self
