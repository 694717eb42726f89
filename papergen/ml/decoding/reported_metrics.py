"""What a decoding trial reports, in the names and units of the tables."""

from __future__ import annotations

from papergen.core.phrase import Phrase
from papergen.experiment.api import Metric
from papergen.ml.words import NATS, NATS_PER_TOKEN, PEAK_MEMORY, SPEED, TOKENS, TOKENS_PER_S

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

REFERENCE = "reference"
"""Parameter that is true of the row which measures human text; what is nearest to it is marked in tables."""

TEXT_METRICS = (
    Metric(name="perplexity", label=Phrase("PPL", "困惑度", also=("困惑",)), over="prompts", closest_where=REFERENCE),
    Metric(
        name="scorer_perplexity",
        label=Phrase("PPL (scorer)", "困惑度（评分模型）"),
        over="prompts",
        closest_where=REFERENCE,
    ),
    Metric(name="nll", label="NLL", unit=NATS_PER_TOKEN, over="prompts", closest_where=REFERENCE),
    Metric(
        name="rep_2", label=Phrase("rep-2", "rep-2", also=("重复",)), unit="%", over="prompts", closest_where=REFERENCE
    ),
    Metric(
        name="rep_3", label=Phrase("rep-3", "rep-3", also=("重复",)), unit="%", over="prompts", closest_where=REFERENCE
    ),
    Metric(
        name="rep_4", label=Phrase("rep-4", "rep-4", also=("重复",)), unit="%", over="prompts", closest_where=REFERENCE
    ),
    Metric(
        name="repetition",
        label=Phrase("Repetition", "重复率", also=("重复",)),
        unit="%",
        over="prompts",
        closest_where=REFERENCE,
    ),
    Metric(name="diversity", label=Phrase("Diversity", "多样性"), over="prompts", closest_where=REFERENCE),
    Metric(name="distinct_1", label="distinct-1", over="prompts", closest_where=REFERENCE),
    Metric(name="distinct_2", label="distinct-2", over="prompts", closest_where=REFERENCE),
    Metric(name="distinct_3", label="distinct-3", over="prompts", closest_where=REFERENCE),
    Metric(name="self_bleu", label="self-BLEU", over="prompts", closest_where=REFERENCE),
    Metric(name="zipf", label="Zipf", over="prompts", closest_where=REFERENCE),
    Metric(name="mauve", label="MAUVE", direction="higher"),
    Metric(name="log_prob", label=Phrase("Log-probability", "对数概率"), unit=NATS, over="prompts"),
    Metric(name="length", label=Phrase("Length", "长度"), unit=TOKENS, over="prompts", closest_where=REFERENCE),
    Metric(name="eos_rate", label=Phrase("EOS", "EOS", also=("结束符",)), unit="%", over="prompts"),
    Metric(name="truncation_rate", label=Phrase("Cut off", "截断"), unit="%", over="prompts"),
    Metric(name="duplicates", label=Phrase("Duplicates", "重复项"), unit="%", direction="lower", over="prompts"),
    Metric(
        name="constraints_met",
        label=Phrase("Constraints met", "满足约束"),
        unit="%",
        direction="higher",
        over="prompts",
    ),
    Metric(name="coverage", label=Phrase("Coverage", "覆盖率"), unit="%", direction="higher", over="prompts"),
    Metric(
        name="acceptance_rate",
        label=Phrase("Drafts accepted", "草稿接受率"),
        unit="%",
        direction="higher",
        over="prompts",
    ),
    Metric(
        name="tokens_per_pass",
        label=Phrase("Tokens per pass", "每次前向的词元数"),
        unit=TOKENS,
        direction="higher",
        over="prompts",
    ),
    Metric(name="tokens_per_s", label=SPEED, unit=TOKENS_PER_S, direction="higher"),
    Metric(name="time_to_first_token_s", label=Phrase("First token", "首词元"), unit="s", direction="lower"),
    Metric(name="inter_token_latency_p50_s", label=Phrase("Latency p50", "延迟 p50"), unit="s", direction="lower"),
    Metric(name="inter_token_latency_p95_s", label=Phrase("Latency p95", "延迟 p95"), unit="s", direction="lower"),
    Metric(name="peak_memory_mib", label=PEAK_MEMORY, unit="MiB", direction="lower"),
)
