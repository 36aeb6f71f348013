"""Rows of activation functions.

An activation is its body and one row: ``activation`` makes it known to `ranvier.activations` and to layers, ``F.`` to
``torch.nn.functional``, and the samples test all of them.
"""

from __future__ import annotations

from ranvier.ops.table.row import IN_PLACE, SAME, Row

A = "functional.activations"
P = "torch.activations"

ROWS = (
    Row("relu", f"{A}:relu", "relu nn.relu(x)", "relu(input); F.relu(input, inplace=False); relu_ F.relu_(input)", SAME, IN_PLACE,
        "X", "np.maximum(X, 0)", "relu"),
    Row("relu6", f"{A}:relu6", "relu6 nn.relu6(x)", "F.relu6(input, inplace=False)", samples="X * 6", value="(X * 6).clip(0, 6)", activation="relu6"),
    Row("leaky_relu", f"{A}:leaky_relu", "leaky_relu nn.leaky_relu(x, negative_slope=0.2)",
        "F.leaky_relu(input, negative_slope=0.01, inplace=False); F.leaky_relu_(input, negative_slope=0.01)",
        samples="X, negative_slope=0.1", value="np.where(X > 0, X, 0.1 * X)", activation="leaky_relu"),
    Row("elu", f"{A}:elu", "elu nn.elu(x, alpha=1.0)", "F.elu(input, alpha=1.0, inplace=False); F.elu_(input, alpha=1.0)",
        samples="X, alpha=2.0", value="np.where(X > 0, X, 2 * np.expm1(X))", activation="elu"),
    Row("celu", f"{A}:celu", "celu nn.celu(x, alpha=1.0)", samples="X, alpha=0.5", value="np.where(X > 0, X, np.expm1(2 * X) / 2)", activation="celu"),
    Row("torch.celu", f"{P}:celu", torch="celu F.celu(input, alpha=1.0, inplace=False); celu_ F.celu_(input, alpha=1.0)",
        samples="X, alpha=0.5", value="np.where(X > 0, X, np.expm1(2 * X) / 2)"),
    Row("selu", f"{A}:selu", "selu nn.selu(x)", "selu F.selu(input, inplace=False); selu_ F.selu_(input)",
        samples="X", value="1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X))", activation="selu"),
    Row("gelu", f"{A}:gelu", "gelu nn.gelu(x, approximate=True)", "F.gelu -> torch.activations:gelu",
        samples="X, False; X, True", value="X * (1 + np.vectorize(math.erf)(X / math.sqrt(2))) / 2; X / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3)))", activation="gelu"),
    Row("silu", f"{A}:silu", "silu swish nn.silu nn.swish(x)", "F.silu(input, inplace=False)", samples="X", value="X / (1 + np.exp(-X))", activation="silu swish"),
    Row("mish", f"{A}:mish", "mish(x)", "F.mish(input, inplace=False)", samples="X", value="X * np.tanh(np.log1p(np.exp(X)))", activation="mish"),
    Row("sigmoid", "arrays.elementwise:sigmoid", "sigmoid nn.sigmoid(x)", "sigmoid sigmoid_(input); F.sigmoid(input)", SAME, IN_PLACE,
        "X", "1 / (1 + np.exp(-X))", "sigmoid"),
    Row("tanh", "arrays.elementwise:tanh", "tanh(x)", "tanh tanh_(input); F.tanh(input)", SAME, IN_PLACE, "X", "np.tanh(X)", "tanh"),
    Row("exponential", f"{A}:exponential", samples="X", value="np.exp(X)", activation="exponential"),
    Row("linear", "arrays.elementwise:identity", samples="X", value="X", activation="linear"),
    Row("softplus", f"{A}:softplus", "softplus nn.softplus(x)", samples="X", value="np.log1p(np.exp(X))", activation="softplus"),
    Row("torch.softplus", f"{P}:softplus", torch="F.softplus(input, beta=1.0, threshold=20.0)", samples="X, 2.0", value="np.log1p(np.exp(2 * X)) / 2"),
    Row("softsign", f"{A}:softsign", "softsign nn.softsign(x)", "F.softsign(input)", samples="X", value="X / (1 + np.abs(X))", activation="softsign"),
    Row("hard_sigmoid", f"{A}:hard_sigmoid", "hard_sigmoid nn.hard_sigmoid(x)", "F.hardsigmoid(input, inplace=False)",
        samples="X * 3", value="(X / 2 + 0.5).clip(0, 1)", activation="hard_sigmoid"),
    Row("hard_silu", f"{A}:hard_silu", "hard_silu hard_swish nn.hard_silu nn.hard_swish(x)", "F.hardswish(input, inplace=False)",
        samples="X * 3", value="3 * X * (X / 2 + 0.5).clip(0, 1)", activation="hard_silu hard_swish"),
    Row("hard_tanh", f"{A}:hard_tanh", "hard_tanh nn.hard_tanh(x)",
        "F.hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False); F.hardtanh_(input, min_val=-1.0, max_val=1.0)",
        samples="X", value="X.clip(-1, 1)", activation="hard_tanh"),
    Row("log_sigmoid", f"{A}:log_sigmoid", "log_sigmoid logsigmoid nn.log_sigmoid(x)", "F.logsigmoid(input)",
        samples="X", value="-np.log1p(np.exp(-X))", activation="log_sigmoid"),
    Row("hard_shrink", f"{A}:hard_shrink", "hard_shrink nn.hard_shrink(x, threshold=0.5)",
        samples="X, threshold=0.4", value="np.where(np.abs(X) > 0.4, X, 0)", activation="hard_shrink"),
    Row("hardshrink", f"{P}:hardshrink", torch="hardshrink F.hardshrink(input, lambd=0.5)", method="hardshrink(input, lambd=0.5)", samples="X, 0.4", value="np.where(np.abs(X) > 0.4, X, 0)"),
    Row("soft_shrink", f"{A}:soft_shrink", "soft_shrink nn.soft_shrink(x, threshold=0.5)",
        samples="X, threshold=0.4", value="np.sign(X) * np.maximum(np.abs(X) - 0.4, 0)", activation="soft_shrink"),
    Row("softshrink", f"{P}:softshrink", torch="F.softshrink(input, lambd=0.5)", samples="X, 0.4", value="np.sign(X) * np.maximum(np.abs(X) - 0.4, 0)"),
    Row("tanh_shrink", f"{A}:tanh_shrink", "tanh_shrink nn.tanh_shrink(x)", "F.tanhshrink(input)", samples="X", value="X - np.tanh(X)", activation="tanh_shrink"),
    Row("squareplus", f"{A}:squareplus", "squareplus nn.squareplus(x, b=4.0)", samples="X, b=2.0", value="(X + np.sqrt(X * X + 2)) / 2", activation="squareplus"),
    Row("sparse_plus", "keras.elementwise:sparse_plus", "sparse_plus nn.sparse_plus(x)",
        samples="X * 2", value="np.where(X > 0.5, 2 * X, (2 * X + 1).clip(0) ** 2 / 4)", activation="sparse_plus"),
    Row("sparse_sigmoid", "keras.elementwise:sparse_sigmoid", "sparse_sigmoid nn.sparse_sigmoid(x)", samples="X", value="(X / 2 + 0.5).clip(0, 1)", activation="sparse_sigmoid"),
    Row("softmax", f"{A}:softmax", "softmax nn.softmax(x, axis=-1)", "softmax(input, dim, dtype=None); F.softmax -> torch.activations:softmax",
        "softmax(input, dim=-1, dtype=None)", "", "X, 1", "np.exp(X) / np.exp(X).sum(1, keepdims=True)", "softmax"),
    Row("log_softmax", f"{A}:log_softmax", "log_softmax nn.log_softmax(x, axis=-1)",
        "log_softmax(input, dim, dtype=None); F.log_softmax -> torch.activations:log_softmax",
        "log_softmax(input, dim=-1, dtype=None)", "", "X, 1", "X - np.log(np.exp(X).sum(1, keepdims=True))", "log_softmax"),
    Row("softmin", torch="F.softmin -> torch.activations:softmin"),
    Row("sparsemax", f"{A}:sparsemax", "sparsemax nn.sparsemax(x, axis=-1)", samples="np.array([[0.5, 0.25, -1], [3, 0, 0]])", value="[[0.625, 0.375, 0], [1, 0, 0]]", activation="sparsemax"),
    Row("glu", f"{A}:glu", "glu nn.glu(x, axis=-1)", "F.glu(input, dim=-1)", samples="X, -1", value="X[:, :2] / (1 + np.exp(-X[:, 2:]))", activation="glu"),
    Row("prelu", f"{P}:prelu", torch="prelu F.prelu(input, weight)", method="prelu(input, weight)", samples="X, np.array([0.3])", value="np.where(X > 0, X, 0.3 * X)"),
    Row("threshold", f"{A}:threshold", "threshold nn.threshold(x, threshold, default_value)",
        "threshold F.threshold(input, threshold, value, inplace=False); threshold_ F.threshold_(input, threshold, value)",
        samples="X, 0.2, -1.0", value="np.where(X > 0.2, X, -1)", activation="threshold"),
)  # fmt: skip
