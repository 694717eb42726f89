"""Phrases of the prose become assertions, and hold exactly when the results support them."""

from __future__ import annotations

import pytest
from made import decoding_results, make_results, speed_results

from papergen.core.errors import PapergenError
from papergen.report.claims.claim import check
from papergen.report.claims.phrases import assertion_of
from papergen.report.results import Results

FAST, SLOW = "speed/ddp-2/tokens_per_s", "speed/ddp-1/tokens_per_s"
LATENCY = "speed/ddp-2/latency_s, speed/ddp-1/latency_s"


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results([*decoding_results(), *speed_results()])


@pytest.mark.parametrize(
    ("phrase", "arguments", "holds"),
    [
        ("about twice as fast", f"{FAST}, {SLOW}", True),
        ("twice as fast", LATENCY, True),
        ("half as fast", f"{SLOW}, {FAST}", True),
        ("more than twice as fast", f"{FAST}, {SLOW}", False),
        ("almost twice as fast", f"{FAST}, {SLOW}", True),
        ("nearly twice as fast as", f"{SLOW}, {FAST}", False),
        ("three times as fast", f"{FAST}, {SLOW}", False),
        ("1.9 times as fast", f"{FAST}, {SLOW}", True),
        ("1.8 times as many", f"{FAST}, {SLOW}", False),
        ("1.9 times as fast", LATENCY, True),
        ("1.9 times as long", LATENCY, False),
        ("at least 1.5 times faster", f"{FAST}, {SLOW}", True),
        ("is faster than", f"{FAST}, {SLOW}", True),
        ("faster", LATENCY, True),
        ("slower", LATENCY, False),
        ("higher", LATENCY, False),
        ("is lower", LATENCY, True),
        ("is significantly faster", f"{FAST}, {SLOW}", True),
        ("significantly higher", f"{FAST}, {SLOW}", True),
        ("does not differ significantly, is not significantly different", f"{FAST}, {SLOW}", False),
        ("outperforms", "decoding/greedy/coherence, [decoding/nucleus/coherence, decoding/beam/coherence]", False),
        ("outperforms both", "decoding/nucleus, [decoding/greedy, decoding/beam], on=[coherence]", True),
        ("outperforms on 1 of 2", "decoding/beam, [decoding/greedy, decoding/nucleus], on=[coherence]", True),
        ("outperforms on two of two", "decoding/beam, [decoding/greedy, decoding/nucleus], on=[coherence]", False),
        ("the best", "decoding/human/coherence", True),
        ("the fastest", SLOW, False),
        ("the lowest", "speed/ddp-2/latency_s", True),
        ("comparable", f"{FAST}, {SLOW}", False),
    ],
)
def test_a_phrase_holds_when_the_results_say_so(results: Results, phrase: str, arguments: str, holds: bool) -> None:
    assert check(results, assertion_of(phrase, arguments)).holds is holds


def test_significance_of_several_comparisons_is_corrected() -> None:
    assertion = assertion_of("significantly outperforms on 3 of 4", "a/b, [a/c, a/d], on=[x, y]")
    assert assertion == "outperforms(a/b, [a/c, a/d], on=[x, y], at_least=3, level=0.05)"


@pytest.mark.parametrize("phrase", ["interesting", "", "novel and exciting"])
def test_a_phrase_that_says_nothing_is_refused(phrase: str) -> None:
    with pytest.raises(PapergenError, match="nothing that can be checked"):
        assertion_of(phrase, "a/b/c, d/e/f")


def test_a_phrase_about_nothing_is_refused() -> None:
    with pytest.raises(PapergenError, match="said of nothing"):
        assertion_of("twice as fast", " ")


def test_wins_and_gain_are_values(results: Results) -> None:
    from papergen.report.claims.claim import evaluate
    from papergen.report.formats import plain

    wins = evaluate(results, "wins(decoding/beam, [decoding/greedy, decoding/nucleus], on=[coherence])")
    assert [plain(wins, how) for how in ("", "of", "word")] == ["1", "1 of 2", "one"]
    gain = evaluate(results, f"gain({LATENCY})")
    assert plain(gain, "times,1") == "1.9 times"
    assert plain(gain, "times,0") == "twice"
    with pytest.raises(PapergenError, match="no count of comparisons"):
        plain(gain, "of")
