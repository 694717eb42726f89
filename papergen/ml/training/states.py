"""What a checkpoint must hold of model, optimiser and communication hook for a resume to the same bits.

What is equal on all ranks is kept once. What a rank has to itself it keeps: its shards under FSDP2, and under PowerSGD
the error that compression has left and the factors that the next step starts from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from papergen.ml.training.model import powersgd_state, unwrapped
from papergen.ml.training.optimizer import OptimizerSteps


def state_of(stepper: OptimizerSteps) -> tuple[dict[str, Any], dict[str, Any]]:
    """What this rank has to itself, and what is equal on all ranks; the live tensors, shards as plain ones."""
    model = unwrapped(stepper.model)
    state = {
        "model": {name: _local(tensor) for name, tensor in model.state_dict().items()},
        "optimizer": _local_optimizer(stepper.optimizer.state_dict()),
        "scaler": stepper.scaler.state_dict(),
    }
    hook = powersgd_state(stepper.model)
    own = {} if hook is None else {"powersgd": _powersgd(hook)}
    return (own | state, {}) if isinstance(model, FSDPModule) else (own, state)


def restore(stepper: OptimizerSteps, own: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
    """Set the state that `state_of` found, on a model that is wrapped as it was and has made one pass."""
    model = unwrapped(stepper.model)
    state = own if isinstance(model, FSDPModule) else shared
    with torch.no_grad():
        for name, held in model.state_dict().items():
            _local(held).copy_(state["model"][name])
    stepper.optimizer.load_state_dict(_sharded_optimizer(state["optimizer"], stepper.optimizer))
    stepper.scaler.load_state_dict(state["scaler"])
    if (hook := powersgd_state(stepper.model)) is not None:
        _set_powersgd(hook, own["powersgd"], next(model.parameters()).device)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _local_optimizer(state: Mapping[str, Any]) -> dict[str, Any]:
    tensors = {
        number: {name: _local(value) if isinstance(value, torch.Tensor) else value for name, value in of.items()}
        for number, of in state["state"].items()
    }
    return {"state": tensors, "param_groups": state["param_groups"]}


def _sharded_optimizer(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's tensors sharded as its parameters are; a step count, a scalar, is whole on every rank."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def sharded(value: Any, parameter: nn.Parameter) -> Any:
        held: Any = parameter
        if not isinstance(held, DTensor) or not isinstance(value, torch.Tensor) or not value.dim():
            return value
        return DTensor.from_local(
            value.to(held.to_local().device),
            held.device_mesh,
            held.placements,
            run_check=False,
            shape=held.shape,
            stride=held.stride(),
        )

    tensors = {
        number: {name: sharded(value, parameters[number]) for name, value in of.items()}
        for number, of in state["state"].items()
    }
    return {"state": tensors, "param_groups": state["param_groups"]}


def _powersgd(hook: PowerSGDState) -> dict[str, Any]:
    generator: Any = hook.rng.get_state(legacy=False)
    return {
        "iter": hook.iter,
        "errors": dict(hook.error_dict),
        "p": dict(hook.p_memory_dict),
        "q": dict(hook.q_memory_dict),
        "rng": torch.from_numpy(generator["state"]["key"].copy()),
        "rng_rest": [generator["state"]["pos"], generator["has_gauss"], generator["gauss"]],
    }


def _set_powersgd(hook: PowerSGDState, state: Mapping[str, Any], device: torch.device) -> None:
    hook.iter = state["iter"]
    for held, name in ((hook.error_dict, "errors"), (hook.p_memory_dict, "p"), (hook.q_memory_dict, "q")):
        held.clear()
        held.update({index: tensor.to(device) for index, tensor in state[name].items()})
    position, has_gauss, cached = state["rng_rest"]
    hook.rng = np.random.RandomState()
    hook.rng.set_state(("MT19937", state["rng"].numpy(), position, has_gauss, cached))
