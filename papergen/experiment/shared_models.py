"""Models that the fork server loads once for all trials it forks: a rank finds them in memory, shared until written.

How a model is loaded is its kind's matter: a kind names a function, `module:function`, that takes (path or Hub id,
dtype) and returns the model. It must leave the random states as they were, and this process with one thread, or a fork
would not be safe (only the forking thread lives on in the child, locks of the others stay locked): a child tries first.
A model is known by its loader, its files (names and stamps) and its number format, so a changed folder is
another model.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from papergen.core.stamps import stamp_of

SharedModel = tuple[str, str, str]
"""Loader (`module:function`), path or Hub id, dtype."""

PROBE_LIMIT_S = 120.0
"""For the child that tries whether a model can be held."""

SETTLE_LIMIT_S = 1.0
"""For threads that loaded a part: Python has joined them before the kernel is rid of them."""

Key = tuple[Any, ...]

_held: dict[Key, Any] = {}
_refused: set[Key] = set()
"""What a child could not load, or not with one thread: left to the ranks."""


def hold(wanted: Sequence[SharedModel]) -> None:
    """Have these models in memory and no others. One that cannot be held is left out."""
    keys = {key: model for model in wanted if (key := key_of(*model)) is not None}
    for key in _held.keys() - keys.keys():
        del _held[key]
    for key, model in keys.items():
        if key not in _held and key not in _refused:
            if _can_hold(model):
                _held[key] = _load(model)
                _is_alone()
                gc.collect()
                gc.freeze()  # the collector of a child need not touch, and so copy, the model's objects
            else:
                _refused.add(key)


def take(loader: str, path_or_id: str | Path, dtype: str) -> Any | None:
    """The model if this process inherited it; once, since who asks twice wants two."""
    key = key_of(loader, path_or_id, dtype) if _held else None
    return None if key is None else _held.pop(key, None)


def key_of(loader: str, path_or_id: str | Path, dtype: str) -> Key | None:
    """What a model is known by; None where its files are not on this machine."""
    folder = Path(path_or_id).expanduser()
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        try:
            found = try_to_load_from_cache(str(path_or_id), "config.json")
        except ValueError:  # a path, and not a name on the Hub
            return None
        if not isinstance(found, str):
            return None
        folder = Path(found).parent
    files = sorted(path for path in folder.iterdir() if path.is_file())
    stats = [(path.name, *stamp_of(path)) for path in files]
    return loader, str(folder.resolve()), dtype, tuple(stats)


def _load(model: SharedModel) -> Any:
    loader, path, dtype = model
    module, _, function = loader.partition(":")
    return getattr(importlib.import_module(module), function)(path, dtype)


def _can_hold(model: SharedModel) -> bool:
    """Whether a forked child could load it and had one thread afterwards."""
    if not sys.platform.startswith("linux"):
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _load(model)
            status = 0 if _is_alone() else 3
        finally:
            os._exit(status)
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], PROBE_LIMIT_S)[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(handle)
    return status == 0


def _is_alone() -> bool:
    """Whether this process has one thread, or comes to have one at once."""
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while num_threads() > 1:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def num_threads() -> int:
    """Threads of this process, as the kernel counts them."""
    import psutil

    return psutil.Process().num_threads()
