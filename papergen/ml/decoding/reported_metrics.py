"""What a decoding trial reports, in the names and units of the tables."""

from __future__ import annotations

from papergen.experiment.api import Metric

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

HUMAN = "human"
"""Name of the row that measures human text; what is nearest to it is marked in tables."""

TEXT_METRICS = (
    Metric(name="perplexity", label="PPL", over="prompts", closest_to=HUMAN),
    Metric(name="scorer_perplexity", label="PPL (scorer)", over="prompts", closest_to=HUMAN),
    Metric(name="nll", label="NLL", unit="nats/token", over="prompts", closest_to=HUMAN),
    Metric(name="rep_2", label="rep-2", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="rep_3", label="rep-3", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="rep_4", label="rep-4", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="repetition", label="Repetition", unit="%", over="prompts", closest_to=HUMAN),
    Metric(name="diversity", label="Diversity", over="prompts", closest_to=HUMAN),
    Metric(name="distinct_1", label="distinct-1", over="prompts", closest_to=HUMAN),
    Metric(name="distinct_2", label="distinct-2", over="prompts", closest_to=HUMAN),
    Metric(name="distinct_3", label="distinct-3", over="prompts", closest_to=HUMAN),
    Metric(name="self_bleu", label="self-BLEU", over="prompts", closest_to=HUMAN),
    Metric(name="zipf", label="Zipf", over="prompts", closest_to=HUMAN),
    Metric(name="mauve", label="MAUVE", direction="higher"),
    Metric(name="log_prob", label="Log-probability", unit="nats", over="prompts"),
    Metric(name="length", label="Length", unit="tokens", over="prompts", closest_to=HUMAN),
    Metric(name="eos_rate", label="EOS", unit="%", over="prompts"),
    Metric(name="truncation_rate", label="Cut off", unit="%", over="prompts"),
    Metric(name="duplicates", label="Duplicates", unit="%", direction="lower", over="prompts"),
    Metric(name="constraints_met", label="Constraints met", unit="%", direction="higher", over="prompts"),
    Metric(name="coverage", label="Coverage", unit="%", direction="higher", over="prompts"),
    Metric(name="acceptance_rate", label="Drafts accepted", unit="%", direction="higher", over="prompts"),
    Metric(name="tokens_per_pass", label="Tokens per pass", unit="tokens", direction="higher", over="prompts"),
    Metric(name="tokens_per_s", label="Speed", unit="tokens/s", direction="higher"),
    Metric(name="time_to_first_token_s", label="First token", unit="s", direction="lower"),
    Metric(name="inter_token_latency_p50_s", label="Latency p50", unit="s", direction="lower"),
    Metric(name="inter_token_latency_p95_s", label="Latency p95", unit="s", direction="lower"),
    Metric(name="peak_memory_mib", label="Peak memory", unit="MiB", direction="lower"),
)
