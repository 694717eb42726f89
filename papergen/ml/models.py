"""Models and tokenizers by folder or Hub id: safetensors only, no remote code, no long wait for the network."""

from __future__ import annotations

import contextlib
import errno
import queue
import random
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.activations import NewGELUActivation
from transformers.utils import logging

from papergen.core.errors import MachineError, PapergenError
from papergen.experiment.shared_models import take
from papergen.ml.model_names import LOADER, is_hub_id

Dtype = Literal["float32", "bfloat16", "float16", "auto"]
"""Number format of the weights; auto is what the files have."""

UNKNOWN_HEAD = re.compile(
    r"Unrecognized configuration class <class '[\w.]*?(\w+?)Config'>.*AutoModel: (\w+)", re.DOTALL
)
HUB_TIMEOUT_S = 5.0
"""How long the Hub may take to answer once there is a connection."""
CONNECT_TIMEOUT_S = 1.5
"""How long its name and a connection may take: without a network the resolver alone would wait half a minute."""


def load_weights(family: Any, path_or_id: str | Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model that `family.from_pretrained` makes, and transformers' account of how its weights were found.

    Weights that are missing or of another shape are drawn anew: hand the account to `refuse_incomplete`, or judge it.
    PapergenError when there is no such model, it has no safetensors or wants remote code. MachineError when the Hub is
    needed and cannot be reached.
    """
    where = located(path_or_id)
    with quiet_transformers():
        model, info = asked(
            path_or_id,
            lambda: family.from_pretrained(
                where.source,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that they are reported
                **options,
                **where.options,
            ),
        )
    return model, info


def untrained(info: dict[str, Any]) -> list[str]:
    """The names of weights that were drawn anew: missing, or of another shape than the config says."""
    return sorted({*map(str, info["missing_keys"]), *(str(name) for name, *_ in info["mismatched_keys"])})


def load_config(family: Any, path_or_id: str | Path) -> Any:
    """The config that `family.from_pretrained` reads; errors as for `load_weights`."""
    where = located(path_or_id)
    return asked(path_or_id, lambda: family.from_pretrained(where.source, **where.options))


def load_tokenizer(path_or_id: str | Path) -> Any:
    """The tokenizer of a model; errors as for `load_weights`, and when its files are not there.

    Without them transformers makes one of the model's kind that knows no word.
    """
    tokenizer = load_config(AutoTokenizer, path_or_id)
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise PapergenError(
            f"model {str(path_or_id)!r}: its tokenizer knows no word: the files of the tokenizer are missing.",
            hint="Save it beside the model: tokenizer.save_pretrained(folder).",
        )
    return tokenizer


def load_shared(path_or_id: str, dtype: Dtype) -> Any:
    """The model on the CPU, loaded by one thread, the random states left as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.set_num_threads(1)
    model = load_model(path_or_id, dtype=dtype)
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
    return model


def load_model(path_or_id: str | Path, *, dtype: Dtype = "float32", device: str = "cpu") -> Any:
    """A language model in evaluation mode on `device`, decoder-only or encoder-decoder as its config says.

    PapergenError when there is no such model, it has no safetensors, it wants remote code, or a tensor is missing or of
    another shape than the config says. MachineError when the Hub is needed and cannot be reached.
    """
    if device == "cpu" and (inherited := take(LOADER, path_or_id, dtype)) is not None:
        return inherited
    config = load_config(AutoConfig, path_or_id)
    family = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    number_format = dtype if dtype == "auto" else getattr(torch, dtype)
    model, info = load_weights(family, path_or_id, config=config, dtype=number_format)
    refuse_incomplete(path_or_id, info)
    _fuse_activations(model)
    return model.eval().to(device)


def _fuse_activations(model: nn.Module) -> None:
    """GELU by its tanh formula in one operation instead of eight (GPT-2 and its like): nothing but rounding differs."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is NewGELUActivation:
                setattr(module, name, nn.GELU(approximate="tanh"))


class Where:
    """What to hand to `from_pretrained`."""

    def __init__(self, source: str, *, is_offline: bool) -> None:
        self.source = source
        self.options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": is_offline}


def located(path_or_id: str | Path) -> Where:
    """Where the files are: a folder, the local Hub cache, or the Hub if it answers."""
    text = str(path_or_id)
    folder = Path(text).expanduser()
    if text and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise PapergenError(f"{text}: this folder holds no model (no config.json).")
        return Where(str(folder), is_offline=True)
    if isinstance(path_or_id, Path) or not is_hub_id(text):
        raise PapergenError(f"model {text!r}: there is no such folder.", hint="Check the path, or give a Hub id.")
    if _is_cached(text):
        return Where(text, is_offline=True)
    _reach_hub(text)
    return Where(text, is_offline=False)


def _is_cached(model_id: str) -> bool:
    """Whether the local Hub cache has this model; what it has is used without asking the Hub."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model_id, "config.json"), str)


def _reach_hub(model_id: str) -> None:
    """Return when the Hub may be asked for `model_id`; otherwise one clear MachineError, at once."""
    from huggingface_hub import constants, get_session

    said = f"model {model_id!r}: there is no folder of this name, and it is not in the local Hub cache"
    remedy = "Give the path of a model folder, or run once with a network to fill the cache."
    if constants.HF_HUB_OFFLINE:
        raise MachineError(f"{said}; HF_HUB_OFFLINE is set.", hint=remedy)
    try:
        connect(constants.ENDPOINT)
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except Exception as error:
        raise MachineError(f"{said}; {constants.ENDPOINT} cannot be reached.", hint=remedy) from error


def connect(endpoint: str) -> None:
    """Return when the host of `endpoint`, or the proxy on the way to it, takes connections; else OSError, soon."""
    target = urlsplit(endpoint)
    proxy = "" if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme, "")
    if proxy:
        target = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    addresses = _addresses(target.hostname or "", port)
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for family, kind, protocol, _, address in addresses:  # all at once: IPv6 may lead nowhere
            one = opened.enter_context(socket.socket(family, kind, protocol))
            one.setblocking(False)
            if one.connect_ex(address) in {0, errno.EINPROGRESS}:
                selector.register(one, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{endpoint} did not answer")
            for key, _ in ready:
                selector.unregister(key.fileobj)
                assert isinstance(key.fileobj, socket.socket)
                if not key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return
    raise ConnectionError(f"{endpoint} refuses connections, or its name is not known")


def _addresses(host: str, port: int) -> list[Any]:
    """`getaddrinfo`, which knows no limit of time, with one; on a thread that nobody waits for."""
    found: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError:
            found.put([])

    threading.Thread(target=look_up, daemon=True).start()
    try:
        return found.get(timeout=CONNECT_TIMEOUT_S)
    except queue.Empty:
        return []


def asked(path_or_id: str | Path, load: Any) -> Any:
    """`load()`, with transformers' many exceptions in the user's words."""
    try:
        return load()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        text = str(error)
        if "trust_remote_code" in text:
            raise PapergenError(
                f"model {str(path_or_id)!r}: it runs code of its own, which papergen does not execute.",
                hint="Choose a model whose architecture transformers has.",
            ) from error
        if "safetensors" in text and isinstance(error, OSError):
            raise PapergenError(
                f"model {str(path_or_id)!r}: no usable .safetensors file ({text.splitlines()[0]})",
                hint="Pickled weights can run code and are refused: convert them with save_pretrained().",
            ) from error
        if kind := UNKNOWN_HEAD.search(text):
            raise PapergenError(
                f"model {str(path_or_id)!r}: transformers {transformers.__version__} has no {kind[2]} of {kind[1]}."
            ) from error
        if isinstance(error, SafetensorError):
            raise PapergenError(
                f"model {str(path_or_id)!r}: its .safetensors file is damaged or incomplete: {text}",
                hint="Copy or download it again.",
            ) from error
        first = next((line for line in text.splitlines() if line.strip()), type(error).__name__)
        raise PapergenError(
            f"model {str(path_or_id)!r}: transformers {transformers.__version__} cannot load it: {first}"
        ) from error


def refuse_incomplete(path_or_id: str | Path, info: dict[str, Any]) -> None:
    """Tied weights are not listed as missing; anything listed would have been filled with random numbers."""
    missing = sorted(info["missing_keys"])
    shapes = sorted(info["mismatched_keys"])
    faults = [f"missing tensor {name}" for name in missing]
    faults += [f"{name} has shape {tuple(found)}, the config says {tuple(wanted)}" for name, found, wanted in shapes]
    faults += [str(message) for message in info.get("error_msgs") or ()]
    if faults:
        shown = [*faults[:5], *([f"and {len(faults) - 5} more"] if len(faults) > 5 else [])]
        raise PapergenError(
            f"model {str(path_or_id)!r}: the weights do not fit the config: {'; '.join(shown)}.",
            hint="transformers would fill them with random numbers. Get the complete files, or the right config.json.",
        )


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and advice out of our own display; its errors still come through."""
    had_bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
