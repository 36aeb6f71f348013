"""What a row of the table of operations says.

A row is plain data: reading the table imports no operation. Each of the columns ``keras``, ``torch`` and ``method``
holds entries, separated by semicolons:

- ``"sin(x)"``: the row's body under this name, with these arguments. An argument has the place and the default that are
  written; ``dim: axis = -1`` is the body's argument ``axis`` under the name ``dim``. Without a colon it is the body's
  argument of that name, or else of that place.
- ``"max -> torch.reductions:max"``: a function of its own, as it is, where the meaning differs.
- ``"abs absolute abs_(input)"``: several names of one function. Before arguments, a name that ends in an underscore is
  the function that also writes its result into its first argument.

Names of the other public modules have a prefix: ``nn.`` and ``linalg.`` in Keras's column, ``F.`` (for
``torch.nn.functional``), ``linalg.`` and ``random.`` in PyTorch's.

Arguments that the dispatcher handles itself, whatever the body: ``inplace`` writes the result into the first argument;
``dtype`` converts the first argument, or with ``dtype: result`` the result; ``out`` is refused with what to write, and
the functions of `ranvier.torch` write into it.
"""

from __future__ import annotations

from typing import NamedTuple

SAME = "same"  # the methods are PyTorch's functions of the row
IN_PLACE = "yes"  # each method has a second one, with an underscore, that writes the result into the tensor
SHAPE = "shape"  # the same, where the result has another shape
VIEW = "yes"  # PyTorch's functions and methods give views, where no elements have to be copied
ONLY_VIEW = "only"  # the same; where elements would have to be copied they raise
DIMENSIONAL = (  # functions of PyTorch along a dimension, which a tensor without dimensions does not have
    "select", "narrow", "unbind", "split", "chunk", "tensor_split", "unflatten", "diff", "glu", "cross", "size", "stride",
    "repeat_interleave", "roll",
)  # fmt: skip
# PyTorch's functions that are its methods in place, besides those that a row names.
IN_PLACE_FUNCTIONS = frozenset(
    [
        "acos_",
        "acosh_",
        "addmv_",
        "arccos_",
        "arccosh_",
        "arcsin_",
        "arcsinh_",
        "arctan_",
        "arctanh_",
        "asin_",
        "asinh_",
        "atan_",
        "atanh_",
        "cosh_",
        "deg2rad_",
        "erfc_",
        "exp2_",
        "fix_",
        "gcd_",
        "lcm_",
        "ldexp_",
        "log10_",
        "log2_",
        "negative_",
        "rad2deg_",
        "sinc_",
        "sinh_",
        "xlogy_",
    ]
)


class Row(NamedTuple):
    """An operation: its body, how each vocabulary shows it, and samples for the tests.

    ``body`` and the places of functions are ``"module:attribute"`` in `ranvier.ops`. ``samples`` are arguments of the
    operation, and ``value`` is the result by NumPy, both as text that the tests evaluate; several are separated by
    semicolons. ``activation`` is the name in `ranvier.activations`; ``attribute`` is a property of tensors. The body
    ``"primitive:rint"`` is an elementwise primitive of the graph, of which ``doc`` is the docstring. ``view`` says whether
    the results share the memory of the first argument.
    """

    name: str
    body: str = ""
    keras: str = ""
    torch: str = ""
    method: str = ""
    in_place: str = ""
    samples: str = ""
    value: str = ""
    activation: str = ""
    doc: str = ""
    attribute: str = ""
    view: str = ""


def each(column: str, module: str, names: str, method: str = "", in_place: str = "", view: str = "") -> tuple[Row, ...]:
    """Rows of functions that one vocabulary alone has, with the names that they have in a module."""
    rows = []
    for name in names.split():
        short = name.rpartition(".")[2]
        row = Row(name, method=method, in_place=in_place, view=view)
        rows.append(row._replace(**{column: f"{name} -> {module}:{short}"}))
    return tuple(rows)
