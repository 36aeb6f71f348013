"""``torch.nn.parallel``: with one processor, a module that runs another."""

from __future__ import annotations

from typing import Any

from ranvier.module import Module, register_module
from ranvier.ops.torch.missing_names import PROCESSES
from ranvier.support.errors import missing

__all__ = ["DataParallel", "DistributedDataParallel"]


@register_module(name="torch.DataParallel")
class DataParallel(Module):
    """Runs ``module`` as it is, as in PyTorch without GPUs: there is one processor, and its threads divide the work.

    The names of parameters start with "module.", as in PyTorch's state dicts.
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module, self.device_ids, self.output_device, self.dim = module, device_ids, output_device, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Raises RuntimeError: there is one process."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"DistributedDataParallel: {PROCESSES}. Write the module itself instead.")


__getattr__, __dir__ = missing("torch.nn.parallel", __all__)
