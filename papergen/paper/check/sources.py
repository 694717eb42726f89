"""What stops a build as well: results that cannot be printed, claims that do not hold, names that nothing defines."""

from __future__ import annotations

from papergen.paper.check.base import Check, of_kind

CHECKS = (
    Check(
        name="result",
        looks_for="results that are unknown, stale, failed, not yet run, or NaN",
        find=of_kind("result"),
    ),
    Check(name="claim", looks_for="claims that the results do not support", find=of_kind("claim")),
    Check(
        name="declared",
        looks_for="tables and figures of paper.yaml that ask for what there is not",
        find=of_kind("declared"),
    ),
    Check(name="reference", looks_for="undefined references and labels defined twice", find=of_kind("reference")),
    Check(name="file", looks_for="inputs and figures that do not exist", find=of_kind("file")),
    Check(name="balance", looks_for="braces, environments and formulas that are not closed", find=of_kind("balance")),
    Check(name="character", looks_for="text that the engine cannot print", find=of_kind("character")),
    Check(name="citation", looks_for="citations that no entry defines", find=of_kind("citation")),
)
