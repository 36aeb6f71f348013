"""Rows of operations that make tensors, say what a value is, and run loops."""

from __future__ import annotations

from ranvier.ops.table.row import SAME, Row, each

ROWS = (
    *each("keras", "keras.arrays", "arange array convert_to_numpy convert_to_tensor dtype empty empty_like eye full full_like "
          "geomspace is_tensor linspace logspace ndim ones ones_like shape size zeros zeros_like"),
    *each("keras", "keras.evaluated", "bartlett blackman hamming hanning kaiser"),
    *each("keras", "keras.placing", "cond identity tri"),
    *each("keras", "keras.looping", "associative_scan fori_loop map scan switch vectorize vectorized_map while_loop"),
    *each("keras", "keras.differentiation", "custom_gradient jvp linalg.jvp"),
    *each("keras", "keras.rearranging", "rearrange"),
    *each("torch", "torch.creation", "arange as_tensor asarray empty empty_like eye from_numpy full full_like is_tensor linspace "
          "logspace normal ones ones_like rand rand_like randint randint_like randn randn_like randperm scalar_tensor tensor "
          "zeros zeros_like"),
    *each("torch", "torch.creation", "bernoulli multinomial", SAME),
    *each("torch", "torch.random", "get_rng_state initial_seed manual_seed seed set_rng_state random.get_rng_state "
          "random.fork_rng random.initial_seed random.manual_seed random.seed random.set_rng_state"),
    Row("copy", "tensor_methods:copied", "copy(x)", "clone(input)", "clone -> tensor_methods:clone"),
    *(Row(f"{name}, a method", method=f"{name} -> torch.tensor_methods:{name}") for name in (
        "new_empty", "new_full", "new_ones", "new_tensor", "new_zeros")),
)  # fmt: skip
