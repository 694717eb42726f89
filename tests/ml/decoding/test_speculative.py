"""Drafts change how many passes a text takes, and not the text: against the same strategy without drafts."""

import copy
import math

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from papergen.core.errors import PapergenError
from papergen.ml.decoding.candidate_generators import PromptLookupGenerator, RaggedTexts
from papergen.ml.decoding.describing import describe
from papergen.ml.decoding.generate import generate
from papergen.ml.decoding.ragged_stepper import takes_ragged_rows
from papergen.ml.decoding.settings import DecodingSettings, shared_models
from papergen.ml.decoding.strategy import Strategy


def sharp(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model.eval()


@pytest.fixture(scope="module")
def gpt2():
    torch.manual_seed(3)
    shape = {"vocab_size": 61, "n_positions": 48, "bos_token_id": 1, "eos_token_id": 1}
    return sharp(GPT2LMHeadModel(GPT2Config(n_layer=3, n_embd=32, n_head=4, **shape)))


@pytest.fixture(scope="module")
def assistants(tmp_path_factory):
    """Name of a model -> folder of a copy with other weights, which agrees with it now and then."""
    found = {}

    def of(name, model):
        if name not in found:
            other = copy.deepcopy(model)
            torch.manual_seed(0)
            with torch.no_grad():
                for parameter in other.parameters():
                    parameter.add_(0.05 * parameter.std() * torch.randn_like(parameter) if parameter.numel() > 1 else 0)
            found[name] = str(tmp_path_factory.mktemp("assistant"))
            other.save_pretrained(found[name])
        return found[name]

    return of


STRATEGIES = {
    "greedy": {},
    "no EOS": {"eos_token_id": None},
    "multinomial": {"do_sample": True, "num_return_sequences": 2},
    "nucleus": {"do_sample": True, "top_p": 0.8, "temperature": 0.7, "num_return_sequences": 3},
    "least": {"min_new_tokens": 6},
    "no repetition": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
    "bias": {"sequence_bias": {"eos": 2.0}, "suppress_tokens": [17], "bad_words_ids": [[5, 9], [11]]},
    "growing": {"exponential_decay_length_penalty": [3, 1.2], "do_sample": True},
}

DRAFTS = {
    "lookup": {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2},
    "assistant": {"num_assistant_tokens": 3, "assistant_confidence_threshold": 0.0},
    "schedule": {"num_assistant_tokens": 2, "num_assistant_tokens_schedule": "heuristic_transient"},
}


def run(model, prompts, parameters, *, batch_size=6, seed=5):
    strategy = Strategy.model_validate({"max_new_tokens": 16, **parameters})
    return generate(model, None, prompts, strategy, seed=seed, batch_size=batch_size)


def same(found, plain):
    assert [one.ids for one in found] == [one.ids for one in plain]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in plain], abs=1e-4)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("drafts", DRAFTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_text_is_that_without_drafts(strategy, drafts, name, request, prompts, assistants):
    model = request.getfixturevalue(name)
    assert takes_ragged_rows(model)
    own = dict(DRAFTS[drafts])
    if drafts != "lookup":
        own["assistant_model"] = assistants(name, model)
    plain = run(model, prompts, STRATEGIES[strategy])
    for batch_size in (6, 4, 1):
        found = run(model, prompts, {**STRATEGIES[strategy], **own}, batch_size=batch_size)
        same(found, plain)
        if batch_size == 6:
            counts = [(one.num_drafted, one.num_accepted, one.num_passes) for one in found]
        # What is drafted and kept belongs to the text as well, not to its batch.
        assert [(one.num_drafted, one.num_accepted, one.num_passes) for one in found] == counts
    for one in found:
        # Every pass yields the drafts that were right and a token of its own, but for one that ended within a draft.
        assert 0 <= one.num_accepted <= one.num_drafted
        assert len(one.ids) - one.num_passes in (one.num_accepted, one.num_accepted - 1)


def test_drafts_of_an_assistant_are_partly_right(gpt2, prompts, assistants):
    """Or the test above would say little."""
    found = run(
        gpt2, prompts, {"eos_token_id": None, "assistant_model": assistants("gpt2", gpt2), **DRAFTS["assistant"]}
    )
    accepted, drafted = (sum(getattr(one, name) for one in found) for name in ("num_accepted", "num_drafted"))
    assert 0.2 * drafted < accepted < 0.95 * drafted
    assert len({one.num_passes for one in found}) > 1


@pytest.mark.parametrize("do_sample", [False, True])
def test_a_model_agrees_with_itself(do_sample, gpt2, prompts, tmp_path):
    """The same distribution and the same random numbers: every draft is right, drawn or not."""
    gpt2.save_pretrained(tmp_path)
    parameters = {"do_sample": do_sample, "eos_token_id": None, "assistant_model": str(tmp_path)}
    found = run(gpt2, prompts, {**parameters, "num_assistant_tokens": 4, "assistant_confidence_threshold": 0.0})
    for one in found:
        assert one.num_accepted == one.num_drafted > 0
        assert one.num_passes == 1 + math.ceil(15 / 5)


def test_a_draft_ends_where_the_assistant_is_unsure(gpt2, prompts, tmp_path):
    gpt2.save_pretrained(tmp_path)
    parameters = {"eos_token_id": None, "assistant_model": str(tmp_path), "num_assistant_tokens": 4}
    sure, unsure = (
        run(gpt2, prompts, {**parameters, "assistant_confidence_threshold": threshold}) for threshold in (0.0, 0.99)
    )
    assert [one.ids for one in sure] == [one.ids for one in unsure]
    assert sum(one.num_passes for one in unsure) > sum(one.num_passes for one in sure)


def test_the_trained_model_drafts_for_itself_over_the_oracle(models, oracle, tmp_path):
    prompts = oracle["prompt_ids"]["trained"]
    models["trained"].save_pretrained(tmp_path)
    plain = run(models["trained"], prompts, {"max_new_tokens": 24}, batch_size=len(prompts))
    for drafts, share in (({"prompt_lookup_num_tokens": 4}, 0.95), ({"assistant_model": str(tmp_path)}, 0.6)):
        found = run(models["trained"], prompts, {"max_new_tokens": 24, **drafts}, batch_size=len(prompts))
        same(found, plain)
        assert sum(one.num_passes for one in found) < share * sum(len(one.ids) for one in plain)


def test_texts_of_lookups_by_hand():
    ids = torch.tensor([[0, 7, 8, 9, 7, 8], [0, 0, 3, 4, 4, 4], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 5]])
    texts = RaggedTexts(ids, torch.tensor([1, 2, 0, 5]), None, max_new=8, pad=0)
    drafts, counts = PromptLookupGenerator(2).propose(texts, torch.tensor([4, 3, 4, 4]))
    assert counts.tolist() == [4, 3, 0, 0]  # padding is no text: the zeros of the last row are not looked up
    assert drafts[0].tolist() == [9, 7, 8, 9]  # after 7 8 comes 9, and then the text goes round
    assert drafts[1, :3].tolist() == [4, 4, 4]
    assert PromptLookupGenerator(1).propose(texts, torch.tensor([2, 0, 2, 2]))[1].tolist() == [2, 0, 0, 0]


def test_the_longest_and_latest_place_counts():
    ids = torch.tensor([[1, 2, 5, 3, 2, 6, 1, 2, 7, 2, 8, 1, 2]])
    texts = RaggedTexts(ids, torch.tensor([0]), None, max_new=4, pad=0)
    wanted = torch.tensor([1])
    assert PromptLookupGenerator(1).propose(texts, wanted)[0].tolist() == [[8]]
    assert PromptLookupGenerator(2).propose(texts, wanted)[0].tolist() == [[7]]
    assert PromptLookupGenerator(3).propose(texts, wanted)[0].tolist() == [[7]]


def alibi():
    torch.manual_seed(1)
    return sharp(BloomForCausalLM(BloomConfig(vocab_size=61, hidden_size=32, n_layer=2, n_head=4)))


def sliding():
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    return sharp(MistralForCausalLM(MistralConfig(vocab_size=61, num_key_value_heads=2, sliding_window=6, **shape)))


@pytest.mark.parametrize("build", [alibi, sliding])
def test_a_model_without_windows_takes_one_text_at_a_time(build, prompts, tmp_path):
    model = build()
    assert not takes_ragged_rows(model)
    model.save_pretrained(tmp_path)
    for parameters in ({}, {"do_sample": True, "num_return_sequences": 2}):
        plain = run(model, prompts, parameters, batch_size=1)
        for drafts in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": str(tmp_path)}):
            same(run(model, prompts, {**parameters, **drafts}), plain)


def test_a_model_that_cannot_go_back_is_refused():
    torch.manual_seed(1)
    model = MambaForCausalLM(MambaConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2)).eval()
    with pytest.raises(PapergenError, match="cannot take back tokens"):
        run(model, [[5, 9, 33]], {"prompt_lookup_num_tokens": 3})


def test_an_assistant_of_another_family_is_refused(llama, gpt2, bart, prompts, tmp_path):
    bart.save_pretrained(tmp_path / "bart")
    with pytest.raises(PapergenError, match="has an encoder"):
        run(llama, prompts, {"assistant_model": str(tmp_path / "bart")})
    gpt2.save_pretrained(tmp_path / "short")
    with pytest.raises(PapergenError, match="exceed the model's 48 positions"):
        run(llama, [[5] * 20], {"assistant_model": str(tmp_path / "short"), "max_new_tokens": 30})


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_drawn_texts_of_encoder_decoder_models(name, request, prompts):
    model = request.getfixturevalue(name)
    parameters = {"do_sample": True, "num_return_sequences": 2}
    same(run(model, prompts, {**parameters, "prompt_lookup_num_tokens": 3}), run(model, prompts, parameters))


def test_speculative_sampling_is_described():
    strategy = Strategy(max_new_tokens=9, do_sample=True, top_p=0.9, prompt_lookup_num_tokens=4)
    assert describe(strategy) == (
        r"speculative sampling with drafts of up to 4 tokens looked up in the text so far~\cite{saxena2023prompt}, "
        r"nucleus truncation with $p=0.9$~\cite{holtzman2020curious}"
    )
    assert describe(strategy).zh.startswith("推测采样")


def test_an_assistant_of_the_project_is_found_by_its_path(tmp_path):
    (tmp_path / "drafter").mkdir()
    params = DecodingSettings(model="org/large", assistant_model="drafter")
    assert params.at(tmp_path).assistant_model == str(tmp_path / "drafter")
    places = [path for _, path, _ in shared_models(params, {}, tmp_path)]
    assert places == ["org/large", str(tmp_path / "drafter")]
    assert DecodingSettings(model="m", assistant_model="org/small").at(tmp_path).assistant_model == "org/small"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("drafts", DRAFTS)
def test_drafts_on_a_gpu(drafts, gpt2, prompts, assistants):
    model = copy.deepcopy(gpt2).to("cuda")
    own = dict(DRAFTS[drafts])
    if drafts != "lookup":
        own["assistant_model"] = assistants("gpt2", gpt2)
    for parameters in ({}, STRATEGIES["nucleus"], STRATEGIES["no repetition"]):
        same(run(model, prompts, {**parameters, **own}), run(model, prompts, parameters))
