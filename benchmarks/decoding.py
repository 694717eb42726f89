"""Decoding: ours against plain scripts through `model.generate`, on the same work and in one run.

    python benchmarks/decoding.py [--rounds 3] [--prompts 32] [--only greedy,beam | --all] [--no-sweep] [--legacy DIR]

A GPT-2-shaped model of about 10 M parameters with random weights, prompts of 8 to 64 tokens, 32 new tokens, EOS off,
float32, on the CPU threads that torch has. For every strategy: ours; a plain script that takes prompt after prompt; one
that pads all prompts into a batch. Where transformers 5 has no such strategy, or takes one prompt at a time, the plain
scripts run what is nearest (beam search for diverse and constrained search) and `against` says so. lm-eval's model
class, which batches as well, joins greedy decoding where it is installed. Contenders take turns within every round.
With `--legacy FOLDER`, the plain scripts also run the searches themselves, by the last transformers that had all four:

    pip install --no-deps --target FOLDER transformers==4.55.4 huggingface-hub==0.36.0 tokenizers==0.21.4 \\
        requests urllib3 charset-normalizer certifi idna

Drafts come from the model's own first layer with its output layer, which agrees with the whole more often than not, and
from lookups: greedy text of random weights soon repeats itself. On both sides they have five tokens, however unsure the
assistant is, and four looked up; `drafts` says how many were accepted.

By default the five strategies that differ from multinomial sampling in a cheap filter alone are left out, to keep it
within some minutes; `--all` has them as well. `--cpu-time` is for a machine with other work: one thread, and its
processor time instead of the wall clock, which favours scripts that cannot use a second thread. `sweep` times all
strategies from a model folder to the texts: one load and batches, against a script that loads the model for every
strategy and one that loops. `benchmarks/decoding_gpu.py` has the GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from common import interleaved, ratios, save, show
from plain_scripts import Elsewhere, Prompts, batch, loop
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.utils import logging

from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.strategy import Strategy
from papergen.ml.models import load_model

NEW_TOKENS = 32

STRATEGIES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "multinomial": {"do_sample": True},
    "temperature": {"do_sample": True, "temperature": 0.7},
    "top_k": {"do_sample": True, "top_k": 40},
    "nucleus": {"do_sample": True, "top_p": 0.95},
    "min_p": {"do_sample": True, "min_p": 0.05},
    "typical": {"do_sample": True, "typical_p": 0.95},
    "epsilon": {"do_sample": True, "epsilon_cutoff": 3e-4},
    "eta": {"do_sample": True, "eta_cutoff": 3e-4},
    "five_samples": {"do_sample": True, "num_return_sequences": 5},
    "repetition_penalty": {"repetition_penalty": 1.2},
    "no_repeat_ngram": {"no_repeat_ngram_size": 3},
    "beam": {"num_beams": 4},
    "beam_sample": {"num_beams": 4, "do_sample": True},
    "diverse": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5},
    "constrained": {"num_beams": 4, "force_words_ids": [[17, 18]]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": "low"},
    "prompt_lookup": {"prompt_lookup_num_tokens": 4},
    "assisted": {"assistant_model": "", "num_assistant_tokens": 5, "assistant_confidence_threshold": 0.0},
}

INSTEAD: dict[str, dict[str, Any]] = {
    "diverse": {"num_beams": 4},
    "constrained": {"num_beams": 4},
    "contrastive": {"do_sample": True, "num_return_sequences": 4},
    "dola": {},
}
"""What the plain scripts run where transformers 5 has the strategy on the Hub only: as many rows in every step."""

CHEAP_FILTERS = {"temperature", "top_k", "min_p", "epsilon", "eta"}
"""Timed with --all or by name."""

ONE_PROMPT = {"prompt_lookup", "assisted"}
"""transformers takes one prompt at a time."""


def main() -> None:
    """Run the comparison and save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--only", default="")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--no-sweep", action="store_true")
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--legacy", type=Path, help="folder with transformers 4.55.4")
    arguments = parser.parse_args()
    if arguments.legacy and arguments.cpu_time:
        parser.error("--cpu-time counts this process alone, --legacy runs in another")
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    if arguments.cpu_time:
        torch.set_num_threads(1)
    usual = [name for name in STRATEGIES if arguments.all or name not in CHEAP_FILTERS]
    names = arguments.only.split(",") if arguments.only else usual
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model, prompts = material(arguments.prompts, folder)
        legacy = None if arguments.legacy is None else Elsewhere(arguments.legacy, f"{folder}/model", prompts)
        record: dict[str, Any] = {
            "num_parameters": model.num_parameters(),
            "num_prompts": len(prompts),
            "new_tokens": NEW_TOKENS,
            "num_threads": torch.get_num_threads(),
            "clock": clock.__name__,
            "rounds": arguments.rounds,
            "strategies": {},
        }
        for name in names:
            ways = contenders(name, model, prompts, folder, legacy)
            table = ratios(interleaved(ways, rounds=arguments.rounds, clock=clock), "papergen")
            show(name, table)
            against = {"against": INSTEAD[name]} if name in INSTEAD else {}
            accepted = {"drafts": drafts(name, model, prompts, folder)} if name in ONE_PROMPT else {}
            record["strategies"][name] = {**table, **against, **accepted}
        if not arguments.no_sweep:
            rounds = max(1, arguments.rounds // 2)
            table = ratios(interleaved(sweeps(prompts, folder), rounds=rounds, clock=clock), "papergen")
            show("sweep", table)
            record["sweep"] = table
        if legacy is not None:
            record["legacy"] = f"transformers {legacy.version}"
            legacy.close()
    if not arguments.no_save:
        print(save("decoding-cpu", record))


def material(num_prompts: int, folder: str) -> tuple[Any, Prompts]:
    """The model, also saved in `folder` with a smaller one to draft for it, and the prompts."""
    shape = {"vocab_size": 8000, "n_positions": 256, "bos_token_id": 0, "eos_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, n_embd=320, n_head=5, **shape)).eval()
    model.save_pretrained(f"{folder}/model")
    draft = GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=320, n_head=5, **shape))
    draft.load_state_dict(model.state_dict(), strict=False)
    draft.save_pretrained(f"{folder}/draft")
    lengths = torch.randint(8, 65, (num_prompts,)).tolist()
    return model, [torch.randint(1, 8000, (length,)).tolist() for length in lengths]


def strategy_of(name: str, folder: str) -> Strategy:
    """The strategy under our names."""
    own = dict(STRATEGIES[name])
    if name == "assisted":
        own["assistant_model"] = f"{folder}/draft"
    return Strategy.model_validate({"max_new_tokens": NEW_TOKENS, "eos_token_id": None, **own})


def arguments_of(name: str, instead: Mapping[str, dict[str, Any]] = INSTEAD) -> dict[str, Any]:
    """The same for `model.generate`, or what is nearest."""
    changes = instead.get(name, STRATEGIES[name])
    # Without an EOS there is nothing to wait for; the text runs to the limit as ours does.
    ours = ("num_assistant_tokens", "assistant_confidence_threshold")  # transformers reads them from the assistant
    theirs = {key: value for key, value in changes.items() if key not in ours}
    plain = {"max_new_tokens": NEW_TOKENS, "eos_token_id": None, "pad_token_id": 0, **theirs}
    if changes.get("do_sample"):
        plain.setdefault("top_k", 0)
    return plain


def contenders(
    name: str, model: Any, prompts: Prompts, folder: str, legacy: Elsewhere | None
) -> dict[str, Callable[[], Any]]:
    """The ways to do the same work, ours on the model as papergen loads it."""
    strategy, plain, own = strategy_of(name, folder), arguments_of(name), load_model(f"{folder}/model")
    if name == "assisted":
        assistant = load_model(f"{folder}/draft")
        for key, value in STRATEGIES[name].items():
            if key != "assistant_model":
                setattr(assistant.generation_config, key, value)
        assistant.generation_config.num_assistant_tokens_schedule = "constant"
        plain["assistant_model"] = assistant
    ways: dict[str, Callable[[], Any]] = {
        "papergen": lambda: generate(own, None, prompts, strategy, seed=0, batch_size=len(prompts)),
        "plain loop": lambda: loop(model, prompts, plain),
    }
    if name not in ONE_PROMPT:
        ways["plain batch"] = lambda: batch(model, prompts, plain)
    if legacy is not None and name in INSTEAD:
        same = arguments_of(name, instead={})
        ways["legacy loop"] = lambda: legacy.run("loop", same)
        ways["legacy batch"] = lambda: legacy.run("batch", same)
    if name == "greedy" and importlib.util.find_spec("lm_eval") is not None:
        ways["lm-eval"] = lm_eval_way(model, prompts)
    return ways


def drafts(name: str, model: Any, prompts: Prompts, folder: str) -> dict[str, float]:
    """How many drafts became text, and what a forward pass yields."""
    found = generate(model, None, prompts, strategy_of(name, folder), seed=0, batch_size=len(prompts))
    accepted, drafted, passes = (
        sum(getattr(one, name) for one in found) for name in ("num_accepted", "num_drafted", "num_passes")
    )
    table = {
        "acceptance_rate": 100.0 * accepted / drafted,
        "tokens_per_pass": sum(len(one.ids) for one in found) / passes,
    }
    print(f"  drafts: {table['acceptance_rate']:.0f} % accepted, {table['tokens_per_pass']:.2f} tokens per pass")
    return table


def lm_eval_way(model: Any, prompts: Prompts) -> Callable[[], Any]:
    """The same prompts through lm-evaluation-harness's batching of `generate_until`."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import PreTrainedTokenizerFast

    harness = HFLM(pretrained=model, tokenizer=words(PreTrainedTokenizerFast), batch_size=len(prompts))
    requests = [
        Instance(
            request_type="generate_until",
            doc={},
            arguments=(
                " ".join(f"w{token}" for token in prompt),
                {"until": ["never"], "max_gen_toks": NEW_TOKENS, "do_sample": False, "min_new_tokens": NEW_TOKENS},
            ),
            idx=index,
        )
        for index, prompt in enumerate(prompts)
    ]
    return lambda: harness.generate_until(requests, disable_tqdm=True)


def words(kind: Any) -> Any:
    """A tokenizer of the model's 8,000 tokens, one word each."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{token}": token for token in range(8000)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return kind(tokenizer_object=tokenizer, eos_token="w0", pad_token="w0", padding_side="left")


def sweeps(prompts: Prompts, folder: str, names: Sequence[str] = ("greedy", "nucleus", "top_k", "beam")) -> Any:
    """Four strategies, from the model's folder to the texts."""
    place = f"{folder}/model"

    def ours() -> None:
        model = load_model(place)
        for name in names:
            generate(model, None, prompts, strategy_of(name, folder), seed=0, batch_size=len(prompts))

    def loads_each_time(way: Callable[..., None]) -> None:
        for name in names:
            way(GPT2LMHeadModel.from_pretrained(place).eval(), prompts, arguments_of(name))

    return {
        "papergen": ours,
        "plain loop": lambda: loads_each_time(loop),
        "plain batch": lambda: loads_each_time(batch),
    }


if __name__ == "__main__":
    main()
