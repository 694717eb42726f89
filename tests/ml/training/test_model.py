"""What training saves, transformers loads: the same logits, the same tokens, safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ranks
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from papergen.core.errors import PapergenError
from papergen.ml.distributed import Ranks
from papergen.ml.training.corpus import load_corpus
from papergen.ml.training.material import prepare
from papergen.ml.training.model import load_pretrained
from papergen.ml.training.settings import TrainingSettings, data_digests
from papergen.ml.training.tokenizer import load_tokenizer, train_tokenizer

ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")


@pytest.fixture(scope="module")
def trained(text_project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained")
    run = ranks.start(ranks.train_rank, 2, text_project, folder, {"max_steps": 40, "learning_rate": 0.01})[0]
    return folder / "model", run


def test_the_saved_model_scores_the_held_out_text_as_training_said(
    text_project: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    folder, run = trained
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = load_corpus(ranks.settings_of(2, {}), text_project).validation_text
    end = tokenizer.eos_token_id
    ids = [end, *tokenizer.encode(text, add_special_tokens=False), end]
    nats = 0.0
    for start in range(0, len(ids) - 1, 32):
        window = torch.tensor([ids[start : start + 33]])
        with torch.no_grad():
            logits = model(window[:, :-1]).logits
        nats += float(torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="sum"))
    assert nats / (len(ids) - 1) == pytest.approx(run["metrics"]["validation_loss"], abs=1e-5)
    assert run["metrics"]["validation_loss"] < 5.0 < run["points"][0][1]["train_loss"]


def test_the_saved_folder_is_complete_and_without_pickles(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, run = trained
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("left", 32)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert sum(parameter.numel() for parameter in model.parameters()) == run["metrics"]["num_parameters"]


def test_training_goes_on_from_a_saved_model(
    text_project: Path, tmp_path: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    folder, run = trained
    sizes = dict.fromkeys(("n_layer", "n_embd", "n_head", "dropout", "vocab_size"))
    overrides = {**sizes, "model": str(folder), "learning_rate": 1e-6}
    went_on = ranks.start(ranks.train_rank, 2, text_project, tmp_path, overrides)[0]
    assert went_on["metrics"]["validation_loss"] == pytest.approx(run["metrics"]["validation_loss"], abs=1e-2)
    settings = ranks.settings_of(2, overrides)
    assert data_digests(settings, text_project).keys() == {"corpus", "model"}


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(PapergenError, match="there is no such folder"):
        load_pretrained(tmp_path / "absent", block_size=8)
    with pytest.raises(PapergenError, match="there is no such folder"):
        load_tokenizer(tmp_path / "absent")
    with pytest.raises(PapergenError, match="block_size = 64 is more than the 32 positions"):
        load_pretrained(trained[0], block_size=64)


def test_weights_that_are_missing_are_refused(tmp_path: Path, trained: tuple[Path, dict[str, Any]]) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(trained[0], tmp_path / "cut")
    weights = load_file(tmp_path / "cut" / "model.safetensors")
    del weights["transformer.h.0.mlp.c_fc.weight"]
    save_file(weights, tmp_path / "cut" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PapergenError, match=r"missing tensor .*c_fc"):
        load_pretrained(tmp_path / "cut", block_size=8)


def test_one_seed_builds_one_model_and_the_tokenizer_sees_training_text_only(text_project: Path) -> None:
    settings = ranks.settings_of(1, {})
    first, second, other = (prepare(settings, seed=seed, ranks=ALONE, project=text_project) for seed in (3, 3, 4))
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)
    assert not torch.equal(first.model.transformer.wte.weight, other.model.transformer.wte.weight)
    corpus = load_corpus(settings, text_project)
    learnt = train_tokenizer(corpus.train.values(), vocab_size=settings.vocab_size)
    assert first.tokenizer.get_vocab() == load_vocab(learnt)


def load_vocab(json: str) -> dict[str, int]:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json).get_vocab()


def test_settings_of_the_embedded_text_fit_its_length() -> None:
    corpus = load_corpus(TrainingSettings(), Path())
    assert len(corpus.train_text) > 300_000
