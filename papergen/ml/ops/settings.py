"""What a micro-benchmark may vary: one operation at one size, dtype and device. Importable without torch."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Literal

from pydantic import Field, model_validator

from papergen.core.errors import InvalidParametersError, ParameterFault, did_you_mean
from papergen.core.phrase import Phrase
from papergen.experiment.api import Params
from papergen.ml.ops.catalogue import CEILINGS, INTEGERS, OPERATIONS


class OpsSettings(Params):
    """One operation at one size, dtype and device."""

    op: str = Field(description="Operation of the catalogue, or ceilings: what the machine can do at most.")
    size: int = Field(default=1024, ge=16, description="Operands have about size x size elements; a multiple of 4.")
    dtype: Literal["float32", "float64", "bfloat16", "float16", "int64", "int32"] = Field(
        default="float32", description="Type of the operands' elements."
    )
    device: Literal["cpu", "cuda"] | None = Field(
        default=None, description="Where the operands lie; where the run does when absent."
    )
    compiled: bool = Field(default=False, description="Time the operation under torch.compile as well.")
    num_rounds: int = Field(default=5, ge=2, description="Rounds in which torch, numpy and compiled take turns.")
    min_run_time_s: float = Field(default=0.02, gt=0, description="Least time of a contender in a round, in seconds.")

    @model_validator(mode="after")
    def _possible(self) -> OpsSettings:
        if self.op != CEILINGS and self.op not in OPERATIONS:
            raise InvalidParametersError(
                ParameterFault(
                    f"op = {self.op!r} is not in the catalogue. {did_you_mean(self.op, [CEILINGS, *OPERATIONS])}", "op"
                )
            )
        if self.size % 4:
            raise InvalidParametersError(
                ParameterFault(
                    f"size = {self.size} is not a multiple of 4. Try {self.size - self.size % 4 + 4}.", "size"
                )
            )
        if self.compiled and self.op == CEILINGS:
            raise InvalidParametersError(
                ParameterFault("compiled: no effect with op = ceilings. Leave it out.", "compiled", "op")
            )
        operation = OPERATIONS.get(self.op)
        is_fixed = operation is not None and not operation.takes_dtype
        if is_fixed and self.dtype != type(self).model_fields["dtype"].default:
            raise InvalidParametersError(
                ParameterFault(
                    f"dtype: no effect with op = {self.op}, whose result has a type of its own. Leave it out.",
                    "dtype",
                    "op",
                )
            )
        if self.dtype in INTEGERS and (operation is None or not operation.takes_integers):
            raise InvalidParametersError(
                ParameterFault(
                    f"dtype = {self.dtype}: op = {self.op} needs a floating-point type. Try float32.", "dtype", "op"
                )
            )
        if self.device == "cuda" and self.op == "from_numpy":
            raise InvalidParametersError(
                ParameterFault(
                    "device: no effect with op = from_numpy, whose result shares the CPU's memory. Leave it out.",
                    "device",
                    "op",
                )
            )
        return self


def unavailable(settings: OpsSettings, device: str, num_gpus: int) -> str | None:
    """Why an operation cannot run on such a machine, as a sentence for a paper; None when it can."""
    if settings.device == "cuda" and device != "cuda":
        return Phrase("A row on CUDA needs a GPU; this run has none.", "在 CUDA 上运行的行需要 GPU，而本次运行没有。")
    where = settings.device or device
    if where == "cuda" and settings.dtype in INTEGERS and OPERATIONS[settings.op].family == "product":
        return Phrase("PyTorch has no products of integer matrices on CUDA.", "PyTorch 在 CUDA 上没有整数矩阵乘法。")
    if settings.compiled and not has_compiler():
        return Phrase(
            "torch.compile needs a C++ compiler; this machine has none.",
            "torch.compile 需要 C++ 编译器，而这台机器没有。",
        )
    return None


def has_compiler() -> bool:
    """Whether the C++ compiler that torch.compile calls is there: the one of CXX, else the system's usual one."""
    return shutil.which(os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")) is not None
