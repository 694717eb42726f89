"""Words that metrics and tables of pipelines share, in both languages."""

from __future__ import annotations

from papergen.core.phrase import Phrase

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

STAGES = {
    "tokenize": Phrase("Tokenizer", "分词器"),
    "forward": Phrase("Model", "模型"),
    "postprocess": Phrase("Post-processing", "后处理"),
}
"""The stages of a pipeline in the order in which they run."""
