import json
import shutil
import socket
import threading
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel
from transformers.activations import NewGELUActivation

from papergen.core.errors import MachineError, PapergenError
from papergen.ml.models import connect, load_model, load_tokenizer


@pytest.fixture
def folder(llama, tmp_path):
    llama.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_a_model_comes_back_whole_in_the_dtype_asked_for(folder, llama):
    model = load_model(folder, dtype="bfloat16")
    assert model.dtype is torch.bfloat16
    assert not model.training
    ids = torch.tensor([[4, 5, 6]])
    assert torch.equal(load_model(str(folder))(ids).logits, llama(ids).logits)


def test_the_kind_of_model_is_its_configs(t5, tmp_path):
    t5.save_pretrained(tmp_path)
    assert load_model(tmp_path).config.is_encoder_decoder


def test_tied_weights_are_not_missing(models, tmp_path):
    models["trained"].save_pretrained(tmp_path)
    assert load_model(tmp_path).lm_head.weight is not None


def test_gelu_is_one_operation_and_the_same_function(models, tmp_path):
    theirs = GPT2LMHeadModel.from_pretrained(models["trained"].name_or_path).eval()
    assert any(type(module) is NewGELUActivation for module in theirs.modules())
    assert not any(type(module) is NewGELUActivation for module in models["trained"].modules())
    ids = torch.arange(40)[None]
    assert torch.allclose(models["trained"](ids).logits, theirs(ids).logits, atol=1e-4, rtol=1e-5)


def test_a_missing_tensor_is_an_error(folder):
    change(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(PapergenError, match=r"missing tensor model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(folder)


def test_a_tensor_of_another_shape_is_an_error(folder):
    def edit(tensors):
        tensors["model.norm.weight"] = torch.ones(7)

    change(folder, edit)
    with pytest.raises(PapergenError, match=r"model\.norm\.weight has shape \(7,\), the config says \(32,\)"):
        load_model(folder)


def test_pickled_weights_are_refused(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(PapergenError, match=r"no usable \.safetensors file"):
        load_model(folder)


def test_damaged_weights_are_an_error(folder):
    (folder / "model.safetensors").write_bytes(b"\x10\x00\x00")
    with pytest.raises(PapergenError, match=r"cannot load it|safetensors"):
        load_model(folder)


def test_remote_code_is_refused_without_a_question(folder, monkeypatch):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('remote code ran')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked a question"))
    with pytest.raises(PapergenError, match="code of its own"):
        load_model(folder)


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/no-such-model", "a/b/c", ""])
def test_a_folder_that_is_not_there(name):
    with pytest.raises(PapergenError, match="there is no such folder"):
        load_model(name)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(PapergenError, match=r"no config\.json"):
        load_model(tmp_path)


def test_a_hub_id_offline_fails_at_once(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    start = time.monotonic()
    with pytest.raises(MachineError, match="HF_HUB_OFFLINE is set"):
        load_model("some-org/some-model")
    assert time.monotonic() - start < 5


def test_a_hub_that_does_not_answer_is_one_clear_error(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match="cannot be reached"):
        load_tokenizer("some-org/some-model")


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: hangs.wait(30) and [])
    start = time.monotonic()
    with pytest.raises(MachineError, match="cannot be reached"):
        load_tokenizer("some-org/some-model")
    assert time.monotonic() - start < 10
    hangs.set()


def test_an_address_that_answers_is_enough_and_a_proxy_is_asked_in_the_hubs_place(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{port}")
        connect("https://a-name-that-nobody-has.invalid")
        monkeypatch.delenv("https_proxy")
        connect(f"http://localhost:{port}")  # two addresses, ::1 refuses
    with pytest.raises(ConnectionError, match="refuses connections"):
        connect(f"http://127.0.0.1:{port}")


def test_a_folder_without_tokenizer(folder):
    with pytest.raises(PapergenError, match="cannot load it"):
        load_tokenizer(folder)


def test_odd_paths(folder, tmp_path):
    odd = tmp_path / 'a model\'s 模型 "folder"'
    shutil.copytree(folder, odd)
    assert load_model(odd).config.vocab_size == 61
