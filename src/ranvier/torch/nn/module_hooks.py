"""``torch.nn.modules.module``: hooks that are called with every module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.module import Module
from ranvier.module.hooks import add_to_every
from ranvier.tensor.hooks import RemovableHandle

__all__ = [
    "Module", "register_module_backward_hook", "register_module_forward_hook", "register_module_forward_pre_hook",
    "register_module_full_backward_hook", "register_module_full_backward_pre_hook",
]  # fmt: skip

Hook = Callable[..., Any]


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, args)`` before the ``forward`` of every module, before the module's own hooks."""
    return add_to_every("before", hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output)`` after the ``forward`` of every module; see `Module.register_forward_hook`."""
    return add_to_every("after", hook, takes_all=with_kwargs, always=always_call)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_output)`` with the gradients of the outputs of every module."""
    return add_to_every("output_gradients", hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output)`` with the gradients of every module."""
    return add_to_every("gradients", hook)


register_module_backward_hook = register_module_full_backward_hook  # PyTorch's older name
