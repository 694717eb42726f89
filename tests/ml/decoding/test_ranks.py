"""A trial whose prompts several processes share: the same texts, and nothing is generated twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import ranks
from decodingranks import NUM_PROMPTS, trial_rank

from papergen.ml.decoding.settings import DecodingSettings

SPEED = {"tokens_per_s", "time_to_first_token_s", "inter_token_latency_p50_s", "inter_token_latency_p95_s"}
MACHINE = SPEED | {"peak_memory_mib"}

pytestmark = pytest.mark.usefixtures("oracle")


def texts(outcome: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(one["prompt_index"], one["ids"], one["text"], one["finish"]) for one in outcome["samples"]]


def quality(outcome: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in outcome["metrics"].items() if name not in MACHINE}


def kept_prompts(folder: Path) -> list[int]:
    """Prompts of every batch that any rank of any attempt has kept."""
    lines = [line for file in (folder / "batches").iterdir() for line in file.read_text().splitlines()]
    return [index for line in lines for index in {one["prompt_index"] for one in json.loads(line)["generations"]}]


@pytest.mark.parametrize(
    "changes",
    [
        {"do_sample": True, "top_p": 0.9, "num_return_sequences": 2},
        {"num_beams": 3},
        pytest.param({"max_new_tokens": None, "max_length": 20}, marks=pytest.mark.slow),
        pytest.param({"prompt_lookup_num_tokens": 3}, marks=pytest.mark.slow),
    ],
    ids=["sampled", "beam", "max_length", "drafts"],
)
def test_any_number_of_ranks_gives_the_same_texts_and_numbers(changes: dict[str, Any], tmp_path: Path) -> None:
    found = {}
    for size in (1, 2, 3):
        (folder := tmp_path / str(size)).mkdir()
        main, *others = ranks.start(trial_rank, size, folder, changes)
        found[size] = main
        assert sorted(kept_prompts(folder)) == list(range(NUM_PROMPTS)), "every prompt is generated once"
        assert len(list((folder / "batches").iterdir())) == size
        assert all(not other["metrics"] and not other["samples"] for other in others)
        for one in (main, *others):
            done, total = one["steps"][-1]
            assert done == total, "a rank counts its own share to its end"
        assert main["metrics"].keys() >= MACHINE
    for size in (2, 3):
        assert texts(found[size]) == texts(found[1])
        # The very bits: a prompt is in the same batch at any number of ranks.
        assert quality(found[size]) == quality(found[1])


def test_after_a_kill_another_number_of_ranks_goes_on(tmp_path: Path) -> None:
    changes = {"do_sample": True, "temperature": 0.8}
    (alone := tmp_path / "alone").mkdir()
    whole = ranks.start(trial_rank, 1, alone, changes)[0]
    (folder := tmp_path / "killed").mkdir()
    with pytest.raises(ranks.RankFailedError, match="rank 0"):  # it waited for the one that died
        ranks.start(trial_rank, 2, folder, changes, (1, 1), may_die=True)
    assert len(before := kept_prompts(folder)) == 9, "four batches of rank 0, the last of one prompt, and one of rank 1"
    torn = next(file for file in (folder / "batches").iterdir() if "-1" in file.name)
    torn.write_bytes(torn.read_bytes() + b'{"generations": [{"prompt_in')
    with pytest.raises(ranks.RankFailedError):
        ranks.start(trial_rank, 3, folder, changes, (0, 0), may_die=True)
    assert len(kept_prompts_of_whole_lines(folder)) == 11, "of the two batches left rank 1 has kept its own"
    for size in (2, 1):
        again = ranks.start(trial_rank, size, folder, changes)[0]
        assert texts(again) == texts(whole)
        assert again["facts"]["num_resumed_prompts"] >= len(before)
    assert again["facts"]["num_resumed_prompts"] == NUM_PROMPTS
    assert quality(again) == pytest.approx(quality(whole), rel=1e-5)


def kept_prompts_of_whole_lines(folder: Path) -> list[int]:
    found = []
    for file in (folder / "batches").iterdir():
        for line in file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                found += {one["prompt_index"] for one in json.loads(line)["generations"]}
    assert len(found) == len(set(found)), "no prompt twice"
    return found


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"world_size": 9, "num_prompts": 8, "batch_size": 1}, "cannot share num_prompts = 8. Try world_size: 8"),
        ({"world_size": 3, "num_prompts": 64, "batch_size": 32}, "are 2. Try batch_size: 21"),
    ],
)
def test_a_rank_without_a_batch_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        DecodingSettings(model="m", **changes)
    suggested = {**changes, **({"world_size": 8} if "world_size: 8" in reason else {"batch_size": 21})}
    assert DecodingSettings(model="m", **suggested).num_ranks == suggested["world_size"]


def test_the_human_text_takes_one_process() -> None:
    assert DecodingSettings(model="m", world_size=2, reference=True).num_ranks == 1
