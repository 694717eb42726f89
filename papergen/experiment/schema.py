"""A JSON Schema of the experiment files, so that an editor completes names, shows help and marks mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from papergen.experiment.kind import Kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MADE = "Made by `papergen config --schema`; make it anew when a kind changes."
SCHEMA_FILE = "experiments/schema.json"
EDITOR = "# yaml-language-server: $schema=schema.json\n"
"""First line of an experiment file, by which an editor finds the schema."""

INTERPOLATED = {"type": "string", "pattern": r"^\$\{(env|secret):"}
"""Any value may come from the environment instead."""

RANGE = {
    "type": "string",
    "pattern": r"^\s*(range|linspace|geomspace|logspace)\s*\(|^\$\{env:",
    "description": "range(0, 10, 2), linspace(0.5, 1, 6), geomspace(1e-4, 1e-1, 4) or logspace(-4, -1, 4).",
}
SEEDS: dict[str, Any] = {
    "description": "One run per row and seed.",
    "anyOf": [{"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True}, RANGE],
}
PRESET: dict[str, Any] = {
    "description": "Name of a preset, or a list of them (a later one wins), under the values of this place.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def schema_text(kinds: Mapping[str, Kind]) -> str:
    """The content of `experiments/schema.json`."""
    return json.dumps(schema_of(kinds), ensure_ascii=False, separators=(",", ":")) + "\n"


def schema_of(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The schema of a file of any of these kinds."""
    if len(kinds) == 1:
        ((name, kind),) = kinds.items()
        return {"$schema": DIALECT, "$comment": MADE, **_kind_schema(name, kind, "#/$defs")}
    definitions: dict[str, Any] = {}
    branches = []
    for name, kind in sorted(kinds.items()):
        definitions[f"kind-{name}"] = _kind_schema(name, kind, f"#/$defs/kind-{name}/$defs")
        is_kind = {"properties": {"kind": {"const": name}}, "required": ["kind"]}
        branches.append({"if": is_kind, "then": {"$ref": f"#/$defs/kind-{name}"}})
    return {
        "$schema": DIALECT,
        "$comment": MADE,
        "title": "An experiment of a papergen project",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": sorted(kinds), "description": "What kind of experiment this is."}},
        "allOf": branches,
        "$defs": definitions,
    }


def _kind_schema(name: str, kind: Kind, at: str) -> dict[str, Any]:
    """The schema of one kind; `at` is where its own definitions will stand."""
    full = kind.params.model_json_schema(by_alias=True, ref_template=f"{at}/{{model}}")
    inner = full.pop("$defs", {})
    inner = {key: _open(value) for key, value in inner.items()}
    fields = {key: _or_interpolated(value) for key, value in full.get("properties", {}).items()}
    free: Any = full.get("additionalProperties", False) is not False
    row = {**fields, "preset": PRESET, "seeds": SEEDS}
    of_row = {"type": ["object", "null"], "properties": row, "additionalProperties": free}
    swept = {key: {"anyOf": [{"type": "array", "minItems": 1}, RANGE]} for key in fields}
    any_sweep = {"anyOf": [{"type": "array", "minItems": 1}, RANGE]}
    inner["row"] = of_row
    inner["sweep"] = {"type": "object", "properties": swept, "additionalProperties": free and any_sweep}
    row_of, sweep = {"$ref": f"{at}/row"}, {"$ref": f"{at}/sweep"}
    return {
        "title": f"An experiment of the kind {name}",
        "description": (kind.module.__doc__ or "").split("\n\n")[0].replace("\n", " "),
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"const": name},
            "description": {"type": "string", "description": "A sentence for whoever reads the file."},
            **fields,
            "seeds": SEEDS,
            "preset": PRESET,
            "presets": _named(row_of, "Named sets of values: `preset: NAME`, `papergen run-exp --preset NAME`."),
            "rows": _named(row_of, "Row name -> the values in which it differs."),
            "grid": {**sweep, "description": "Parameter -> values; every combination is a row."},
            "zip": {
                "description": "Parameter -> values, in step; several of these in a list.",
                "anyOf": [sweep, {"type": "array", "items": sweep}],
            },
            "exclude": {
                "type": "array",
                "items": {"type": "object", "minProperties": 1},
                "description": "Combinations that are left out; `row` is the row's name.",
            },
        },
        "additionalProperties": free,
        "$defs": inner,
    }


def _named(value: Mapping[str, Any], description: str) -> dict[str, Any]:
    names = {"pattern": r"^[A-Za-z0-9_][\w.+-]*$"}
    return {"type": "object", "propertyNames": names, "additionalProperties": value, "description": description}


def _or_interpolated(field: Mapping[str, Any]) -> dict[str, Any]:
    """A field that may be written as `${env:NAME}` too; its title says nothing that its name does not."""
    about = {key: field[key] for key in ("description", "default") if key in field}
    rest = {key: value for key, value in field.items() if key not in {*about, "title", "decides_numbers"}}
    return {**about, "anyOf": [rest, INTERPOLATED]} if rest else {**about}


def _open(definition: Any) -> Any:
    """A nested model's schema, without our marks."""
    if isinstance(definition, dict):
        return {key: _open(value) for key, value in definition.items() if key != "decides_numbers"}
    return [_open(item) for item in definition] if isinstance(definition, list) else definition
