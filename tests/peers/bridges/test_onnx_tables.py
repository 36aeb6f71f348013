"""Operators of ``ai.onnx.ml`` beside ONNX Runtime and ONNX's reference, and pipelines of scikit-learn by skl2onnx."""

import functools
import warnings
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier.data.files import CheckpointError
from ranvier.interop import onnx as backend

onnx = pytest.importorskip("onnx")
runtime, reference = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx.reference")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, DOUBLE, INT64, STRING = (getattr(onnx.TensorProto, n) for n in ("FLOAT", "DOUBLE", "INT64", "STRING"))
CLASSIFIER, SCORES = (("label", INT64), ("scores", FLOAT)), (("y", FLOAT),)


def file(op, inputs, outputs=SCORES, version=3, **attributes):
    """A model of one operator."""
    node = helper.make_node(op, list(inputs), [name for name, _ in outputs], "node", domain="ai.onnx.ml", **attributes)
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) if x.dtype != object else STRING for name, x in inputs.items()}  # fmt: skip
    ends = [helper.make_tensor_value_info(n, kinds[n], ["n", *x.shape[1:]]) for n, x in inputs.items()]
    results = [
        helper.make_tensor_value_info(name, kind, [None] * (1 + (name != "label") + (op == "OneHotEncoder")))
        for name, kind in outputs
    ]
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(helper.make_graph([node], "g", ends, results), opset_imports=imports, ir_version=8)


def of_runtime(model, inputs):
    return runtime.InferenceSession(model.SerializeToString()).run(None, inputs)


def of_reference(model, inputs):
    return reference.ReferenceEvaluator(model).run(None, inputs)


def predicted(model, inputs):
    x = list(inputs.values())
    found = rv.from_onnx(model).predict(x[0] if len(x) == 1 else x, verbose=0)
    return found if isinstance(found, tuple) else (found,)


def check(model, inputs, expected, run=predicted, atol=2e-6):
    for ours, theirs in zip(run(model, inputs), expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape
        if theirs.dtype.kind in "OU":
            assert ours.tolist() == theirs.tolist()
        else:
            assert ours.dtype.kind == theirs.dtype.kind
            np.testing.assert_allclose(ours, theirs, atol=atol, rtol=2e-6)


def table(rows=9, features=3, dtype=np.float32, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(rows, features))
    return (drawn * (1 if np.dtype(dtype).kind == "f" else 3)).astype(dtype)


def holes(dtype=np.float32):
    x = table(dtype=dtype)
    x[::3, 0] = np.nan if np.dtype(dtype).kind == "f" else -1
    return x


EACH = {
    f"{name} of {np.dtype(dtype).name}": (op, table(dtype=dtype), attributes)
    for dtype in (np.float32, np.float64, np.int64, np.int32)
    for name, op, attributes in (
        ("Scaler", "Scaler", {"offset": [0.1, 0.2, -0.3], "scale": [2.0, 0.5, 3.0]}),
        ("Scaler by one", "Scaler", {"offset": [0.5], "scale": [2.0]}),
        ("Normalizer L1", "Normalizer", {"norm": "L1"}),
        ("Normalizer L2", "Normalizer", {"norm": "L2"}),
    )
} | {
    "Binarizer": ("Binarizer", table(), {"threshold": 0.25}),
    "Imputer": ("Imputer", holes(), {"imputed_value_floats": [1.5, 2, 3], "replaced_value_float": np.nan}),
    "Imputer by one": ("Imputer", table() * 0, {"imputed_value_floats": [1.5]}),
    "Imputer of integers": ("Imputer", holes(np.int64), {"imputed_value_int64s": [7], "replaced_value_int64": -1}),
    "OneHotEncoder": ("OneHotEncoder", table(dtype=np.int64), {"cats_int64s": [-1, 0, 2, 5], "zeros": 1}),
    "OneHotEncoder of floats": ("OneHotEncoder", table() * 3, {"cats_int64s": [-1, 0, 2, 5], "zeros": 1}),
    "LabelEncoder": ("LabelEncoder", table(dtype=np.int64), {"keys_int64s": [0, 1, -3], "values_floats": [1.5, 2, 3]}),
    "LabelEncoder of NaN": ("LabelEncoder", holes(), {"keys_floats": [np.nan, 5.0], "values_floats": [4.0, 2.0], "default_float": 9.0, "version": 4}),
}  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_operators_on_columns(name):
    op, x, attributes = EACH[name]
    kind = helper.np_dtype_to_tensor_dtype(x.dtype) if op in ("Binarizer", "Imputer") else FLOAT
    model = file(op, {"x": x}, (("y", kind),), **attributes)
    check(model, {"x": x}, of_runtime(model, {"x": x}))


def test_the_largest_of_absolute_values_normalizes_and_zeros_stay():
    x = np.array([[-3, -1, -2], [1, -4, 2], [0, 0, 0]], np.float32)
    model = file("Normalizer", {"x": x}, norm="MAX")
    check(model, {"x": x}, of_reference(model, {"x": x}))


def test_tables_side_by_side_and_columns_of_them():
    inputs = {"a": table(), "b": table(features=4, seed=1)}
    model = file("FeatureVectorizer", inputs, inputdimensions=[2, 6])
    check(model, inputs, of_reference(model, inputs))
    inputs = {"x": table(), "at": np.array([2, 0])}
    model = file("ArrayFeatureExtractor", {"x": inputs["x"]})
    model.graph.node[0].input.append("at")
    model.graph.initializer.append(numpy_helper.from_array(inputs.pop("at"), "at"))
    check(model, inputs, of_runtime(model, inputs))


POST = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


@pytest.mark.parametrize("post", POST)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_linear_models(post, dtype):
    x, weights = table(dtype=dtype), table(4, 3, seed=3).ravel() * 0.05
    line = {"coefficients": weights, "intercepts": [0.4, 0.5, 0.6, 0.45], "post_transform": post}
    model = file("LinearClassifier", {"x": x}, CLASSIFIER, classlabels_ints=[5, 7, 9, 2], **line)
    atol = 1e-4 if post == "PROBIT" else 2e-6  # which cancels in 32 bits
    expected = of_runtime(model, {"x": x})
    check(model, {"x": x}, expected, atol=atol)
    model = file("LinearRegressor", {"x": x}, targets=4, **line)  # which ONNX Runtime has for float32
    check(model, {"x": x}, expected[1:], atol=atol)
    if post != "PROBIT":  # which is not defined of a score and its opposite
        line |= {"coefficients": weights[:3], "intercepts": [0.1], "classlabels_ints": [5, 7]}
        model = file("LinearClassifier", {"x": x}, CLASSIFIER, **line)
        check(model, {"x": x}, of_reference(model, {"x": x}))


# --- trees --------------------------------------------------------------------------------------------------------

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def grid(rows=40, dtype=np.float32):
    """Values that equal those of nodes, and NaN."""
    x = np.random.default_rng(1).integers(-2, 3, (rows, 4)).astype(dtype)
    if x.dtype.kind == "f":
        x[np.random.default_rng(2).random(x.shape) < 0.2] = np.nan
    return x


def trees(kind, modes, seed=0, targets=3, count=5, size=9, weights=(-1, 1)):
    """Attributes of random trees: each split is of a leaf that there is, so that some are deep."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")}  # fmt: skip
    votes: dict[str, list[object]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(count):
        nodes: list[list[Any]] = [[tree, 0, 0, 0.0, "LEAF", 0, 0, 0]]
        for _ in range(size if tree else 0):
            leaf = int(rng.choice([n for n, node in enumerate(nodes) if node[4] == "LEAF"]))
            first = len(nodes)
            nodes[leaf] = [tree, leaf, rng.integers(4), float(rng.integers(-2, 3)), rng.choice(modes), first, first + 1, rng.integers(2)]  # fmt: skip
            nodes += [[tree, n, 0, 0.0, "LEAF", 0, 0, 0] for n in (first, first + 1)]
        for node in nodes:
            for column, value in zip(columns.values(), node, strict=True):
                column.append(value if isinstance(value, (float, str)) else int(value))
            if node[4] == "LEAF":
                for target in rng.choice(targets, rng.integers(1, targets + 1), replace=False):
                    for column, value in zip(votes.values(), (tree, node[1], int(target), rng.uniform(*weights)), strict=True):  # fmt: skip
                        column.append(value)
    attributes = {f"nodes_{name}": [str(v) for v in column] if name == "modes" else column for name, column in columns.items()}  # fmt: skip
    return attributes | {f"{kind}_{name}": column for name, column in votes.items()}


@pytest.mark.parametrize("modes", [*((mode,) for mode in MODES), MODES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_trees_of_all_modes(modes, dtype):
    """NaN goes where the node says, in mode NEQ too, as ONNX's reference does for classifiers."""
    x = grid(dtype=dtype)
    model = file("TreeEnsembleClassifier", {"x": x}, CLASSIFIER, classlabels_int64s=[4, 8, 6], **trees("class", modes))
    check(model, {"x": x}, of_reference(model, {"x": x}))
    model = file("TreeEnsembleRegressor", {"x": x}, n_targets=3, **trees("target", modes))
    if np.dtype(dtype) == np.float32:
        check(model, {"x": x}, of_reference(model, {"x": x}))
        if "BRANCH_NEQ" not in modes:
            check(model, {"x": x}, of_runtime(model, {"x": x}))


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("post", POST)
def test_scores_of_trees(aggregate, post):
    atol = 1e-4 if post == "PROBIT" else 2e-6  # which cancels in 32 bits
    x, base = grid(), {"base_values": [0.1, 0.2, 0.3], "post_transform": post}
    attributes = trees("target", MODES[:5], weights=(0.01, 0.1)) | base
    model = file("TreeEnsembleRegressor", {"x": x}, n_targets=3, aggregate_function=aggregate, **attributes)
    check(model, {"x": x}, of_runtime(model, {"x": x}), atol=atol)
    attributes = trees("class", MODES[:5], weights=(0.01, 0.1)) | base
    model = file("TreeEnsembleClassifier", {"x": x}, CLASSIFIER, classlabels_int64s=[4, 8, 6], **attributes)
    check(model, {"x": x}, of_runtime(model, {"x": x}), atol=atol)


@pytest.mark.parametrize(("weights", "post", "run"), [
    ((0.01, 0.3), "NONE", of_runtime), ((-1, 1), "NONE", of_runtime), ((-1, 1), "LOGISTIC", of_runtime),
    ((-1, 1), "SOFTMAX", of_reference), ((-1, 1), "SOFTMAX_ZERO", of_reference), ((0.01, 0.1), "LOGISTIC", of_reference),
])  # fmt: skip
def test_trees_with_one_score_of_two_classes(weights, post, run):
    x = grid()
    attributes = trees("class", MODES[:4], targets=1, weights=weights) | {"post_transform": post}
    model = file("TreeEnsembleClassifier", {"x": x}, CLASSIFIER, classlabels_int64s=[4, 8], **attributes)
    check(model, {"x": x}, run(model, {"x": x}))


def of_64_bits(attributes, kind):
    """The same attributes, whose floats are tensors of 64 bits."""
    names = ("nodes_values", f"{kind}_weights")
    tensors = {f"{n}_as_tensor": numpy_helper.from_array(np.array(attributes[n], np.float64) + 1e-12) for n in names}
    return {n: value for n, value in attributes.items() if n not in names} | tensors


def test_trees_of_64_bits():
    x = grid(dtype=np.float64)
    model = file("TreeEnsembleRegressor", {"x": x}, n_targets=3, **of_64_bits(trees("target", MODES[:4]), "target"))
    check(model, {"x": x}, of_runtime(model, {"x": x}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("aggregate", range(4))
def test_trees_of_version_5_and_their_sets(dtype, aggregate):
    """A tree of five nodes with a set of one, of four and of no values, and one that is a leaf."""
    x = grid(dtype=dtype)
    tensor = lambda values, kind=dtype: numpy_helper.from_array(np.array(values, kind))  # noqa: E731
    model = file(
        "TreeEnsemble", {"x": x}, (("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype))),), 5, n_targets=2,
        nodes_modes=tensor([6, 0, 6, 6, 3, 0], np.uint8), nodes_splits=tensor([0, 1, 0, 0, -1, 0]),
        nodes_featureids=[0, 1, 2, 3, 1, 0], nodes_truenodeids=[1, 0, 3, 3, 4, 6], nodes_falsenodeids=[2, 1, 4, 2, 5, 6],
        nodes_trueleafs=[0, 1, 0, 1, 1, 1], nodes_falseleafs=[0, 1, 0, 1, 1, 1],
        nodes_missing_value_tracks_true=[1, 0, 0, 1, 1, 0], tree_roots=[0, 5], leaf_targetids=[0, 1, 0, 0, 1, 1, 0],
        leaf_weights=tensor([1, -2, 3, -4, 5, -6, 0.5]), membership_values=tensor([1, np.nan, 2, -1, 1, -2, np.nan, np.nan]),
        aggregate_function=aggregate,
    )  # fmt: skip
    found = predicted(model, {"x": x})[0]
    low, high = {0: (0, 0), 1: (0, 0), 2: (np.inf, np.inf), 3: (-np.inf, -np.inf)}[aggregate]
    for row, ours in zip(x, found, strict=True):
        absent = np.isnan(row)
        if row[0] == 1 or absent[0]:
            leaf = 0 if row[1] <= 1 else 1
        elif row[2] in (2, -1, 1, -2):
            leaf = 3 if absent[3] else 2
        else:
            leaf = 4 if row[1] > -1 or absent[1] else 5
        votes = [[low], [high]]
        for target, weight in (([0, 1, 0, 0, 1, 1][leaf], [1, -2, 3, -4, 5, -6][leaf]), (0, 0.5)):
            votes[target].append(weight)
        values = [(np.sum, np.sum, np.min, np.max)[aggregate](v) / (1 if aggregate else 2) for v in votes]
        np.testing.assert_allclose(ours, [v if np.isfinite(v) else 0 for v in values])


def test_trees_that_are_refused():
    x = np.zeros((2, 1), np.float32)
    line = {
        "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [0, 0, 0], "nodes_values": [0.0] * 3,
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0], "target_nodeids": [1], "target_ids": [0], "target_weights": [1.0],
    }  # fmt: skip

    def inner(true, false):
        return {"nodes_modes": ["BRANCH_LEQ"] * 3, "nodes_truenodeids": true, "nodes_falsenodeids": false}

    for changed, said in (
        (inner([1, 0, 1], [2, 2, 1]), "a branch leads to the first node of a tree"),
        (inner([1, 1, 2], [2, 2, 1]), "a branch leads back to its node"),
        (inner([1, 2, 1], [2, 2, 1]), "its branches lead in a circle"),
        ({"nodes_truenodeids": [7, 0, 0]}, "a branch leads to no node"),
        ({"nodes_featureids": [1, 0, 0]}, "feature 1 of an input of 1"),
        ({"nodes_modes": ["NEAR", "LEAF", "LEAF"]}, "nodes of mode NEAR. Write BRANCH_LEQ"),
        ({"target_ids": [1]}, "a vote for target 1 of 1"),
        ({"nodes_values": [1.0]}, "attributes of nodes are of different lengths"),
        ({"target_ids": [0, 0]}, "attributes of votes are of different lengths"),
        ({"base_values": [1.0, 2.0]}, "2 base_values for 1 targets"),
        ({"aggregate_function": "MEAN"}, "the aggregate_function MEAN. Write AVERAGE, SUM"),
    ):
        model = file("TreeEnsembleRegressor", {"x": x}, **(line | changed))
        with pytest.raises(backend.UnsupportedError, match=rf"TreeEnsembleRegressor \(node 'node'\): {said}"):
            rv.from_onnx(model).predict(x, verbose=0)


# --- support vectors ----------------------------------------------------------------------------------------------

KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def vectors(classes, kernel, seed=0, **given):
    """Attributes of a random classifier."""
    rng = np.random.default_rng(seed)
    sizes, pairs = [int(n) for n in rng.integers(1, 6, classes)], classes * (classes - 1) // 2
    numbers = {"coefficients": sum(sizes) * (classes - 1), "support_vectors": 3 * sum(sizes), "rho": pairs}
    if given.pop("chances", False):
        numbers |= {"prob_a": pairs, "prob_b": pairs}
    drawn = {name: rng.normal(size=size).astype(np.float32).tolist() for name, size in numbers.items()}
    labels = [int(n) for n in rng.permutation(classes)]
    return drawn | {"vectors_per_class": sizes, "kernel_type": kernel, "kernel_params": [0.2, 0.5, 3], "classlabels_ints": labels} | given  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("chances", [False, True])
def test_support_vectors(kernel, classes, chances):
    """ONNX Runtime computes in 32 bits, in which the search for probabilities may end a round apart."""
    x = table(rows=30)
    attributes = vectors(classes, kernel, chances=chances)
    model = file("SVMClassifier", {"x": x}, CLASSIFIER, **attributes)
    check(model, {"x": x}, of_runtime(model, {"x": x}), atol=2e-5)
    shared = {name: attributes[name] for name in ("support_vectors", "kernel_type", "kernel_params")}
    size = sum(attributes["vectors_per_class"])
    shared |= {"coefficients": attributes["coefficients"][:size], "rho": [0.3], "n_supports": size}
    for one_class in (0, 1):
        model = file("SVMRegressor", {"x": x}, one_class=one_class, **shared)
        check(model, {"x": x}, of_runtime(model, {"x": x}), atol=2e-5)


@pytest.mark.parametrize("post", POST[1:])
@pytest.mark.parametrize("classes", [2, 4])
def test_transforms_of_support_vectors(post, classes):
    x = table()
    attributes = vectors(classes, "RBF", chances=post == "PROBIT", post_transform=post)
    model = file("SVMClassifier", {"x": x}, CLASSIFIER, **attributes)
    run = of_reference if classes == 2 else of_runtime
    check(model, {"x": x}, run(model, {"x": x}), atol=1e-3 if post == "PROBIT" else 2e-5)
    model = file("SVMRegressor", {"x": x}, coefficients=[0.1, 0.2, 0.1], rho=[0.4], post_transform=post)
    line = file("LinearRegressor", {"x": x}, coefficients=[0.1, 0.2, 0.1], intercepts=[0.4], post_transform=post)
    check(model, {"x": x}, predicted(line, {"x": x}))


# --- strings ------------------------------------------------------------------------------------------------------

WORDS = np.array([["b", "z"], ["a", "ü"]], object)
MAPS = {
    "to integers": ("LabelEncoder", 2, WORDS, INT64, {"keys_strings": ["a", "b", "ü"], "values_int64s": [4, 5, 6], "default_int64": 9}),
    "to strings": ("LabelEncoder", 2, WORDS, STRING, {"keys_strings": ["a", "b"], "values_strings": ["x", "y"], "default_string": "none"}),
    "from integers": ("LabelEncoder", 2, table(dtype=np.int64), STRING, {"keys_int64s": [0, 1], "values_strings": ["x", "y"]}),
    "tensors": ("LabelEncoder", 4, table(dtype=np.int64), DOUBLE, {"keys_tensor": numpy_helper.from_array(np.array([0, 1, -2])), "values_tensor": numpy_helper.from_array(np.array([0.5, 1.5, 2.5])), "default_tensor": numpy_helper.from_array(np.array([9.5]))}),
    "tensors of strings": ("LabelEncoder", 4, WORDS, INT64, {"keys_tensor": numpy_helper.from_array(np.array(["z", "a"], object)), "values_tensor": numpy_helper.from_array(np.array([3, 4])), "default_tensor": numpy_helper.from_array(np.array([9]))}),
    "the first version": ("LabelEncoder", 1, np.array([["a"], ["c"]], object), INT64, {"classes_strings": ["c", "a"]}),
    "the first version back": ("LabelEncoder", 1, np.array([[1], [4], [0]]), STRING, {"classes_strings": ["c", "a"], "default_string": "?"}),
    "categories": ("CategoryMapper", 1, WORDS, INT64, {"cats_strings": ["a", "b"], "cats_int64s": [7, 8]}),
    "categories back": ("CategoryMapper", 1, table(dtype=np.int64), STRING, {"cats_strings": ["a", "b"], "cats_int64s": [1, 2]}),
    "one-hot": ("OneHotEncoder", 1, WORDS, FLOAT, {"cats_strings": ["b", "ü", "no"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", MAPS)
def test_strings_are_looked_up(name):
    """Where they are known: a model takes none. Strings that come out are strings."""
    op, version, x, kind, attributes = MAPS[name]
    model = file(op, {"x": x}, (("y", kind),), version, **attributes)
    expected = of_runtime(model, {"x": x})
    check(model, {"x": x}, expected, lambda model, inputs: backend.prepare(model).run(inputs))
    if x.dtype != object:
        check(model, {"x": x}, expected)


def test_strings_of_an_operator_are_looked_up_by_the_next():
    """A string is there twice; the output is numbers of a model whose input is numbers."""
    x = table(dtype=np.int64)
    model = file("LabelEncoder", {"x": x}, keys_int64s=[0, 1, 2], values_strings=["a", "b", "a"], default_string="a")
    model.graph.node[0].output[0] = "middle"
    following = helper.make_node("OneHotEncoder", ["middle"], ["y"], domain="ai.onnx.ml", cats_strings=["a", "b"])
    model.graph.node.append(following)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, [None] * 3))
    check(model, {"x": x}, of_runtime(model, {"x": x}))


def test_what_is_refused():
    x = table()
    for model, said in (
        (file("OneHotEncoder", {"x": WORDS}, cats_strings=["a"]), "the input 'x' is strings. Write a file whose inputs"),
        (file("DictVectorizer", {"x": x}, int64_vocabulary=[1]), "the operator ai.onnx.ml.DictVectorizer .*not known"),
        (file("LinearClassifier", {"x": x}, CLASSIFIER, coefficients=[1.0] * 9, classlabels_ints=[1, 2]), "coefficients of 3 classes for 2 labels"),
        (file("SVMClassifier", {"x": x}, CLASSIFIER, coefficients=[1.0] * 6, rho=[0.0], classlabels_ints=[1, 2]), "vectors_per_class of 0 for 2 classes"),
        (file("LinearRegressor", {"x": x}, coefficients=[1.0] * 6, targets=2, intercepts=[1.0]), "1 intercepts for 2 rows of coefficients"),
        (file("SVMClassifier", {"x": x}, CLASSIFIER, **vectors(3, "RBF", rho=[1.0])), "rho, prob_a or prob_b are not of 3 numbers"),
        (file("LinearRegressor", {"x": x}, coefficients=[1.0] * 3, post_transform="NO"), r"LinearRegressor \(node 'node'\): the post_transform NO. Write"),
    ):  # fmt: skip
        with pytest.raises((CheckpointError, backend.UnsupportedError), match=said):
            rv.from_onnx(model).predict(x, verbose=0)
    model = file("OneHotEncoder", {"x": x.astype(np.int64)}, cats_int64s=[0, 1], zeros=0)
    with pytest.raises(IndexError, match="in row 2, position 1"):
        rv.from_onnx(model).predict(np.array([[0, 1, 1], [1, 1, 0], [0, 5, 0]]), verbose=0)


# --- pipelines ----------------------------------------------------------------------------------------------------


@functools.cache
def flowers():
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    return x.astype(np.float32), y


def text_labels(y):
    return np.array(["one", "two", "three"])[y]


def two_classes(y):
    return (y > 0).astype(np.int64)


def pipelines():
    from sklearn import ensemble, impute, linear_model, pipeline, preprocessing, svm

    logistic, chain = linear_model.LogisticRegression, pipeline.make_pipeline
    return {
        "scaled": (chain(preprocessing.StandardScaler(), logistic()), None),
        "two classes": (logistic(), two_classes),
        "names": (chain(preprocessing.Normalizer("max"), logistic()), text_labels),
        "LinearSVC": (svm.LinearSVC(), None),
        "imputed": (chain(impute.SimpleImputer(), preprocessing.Binarizer(threshold=2.5), logistic()), None),
        "regression": (linear_model.Ridge(), np.float32),
        "one-hot": (chain(preprocessing.OneHotEncoder(handle_unknown="ignore"), logistic()), text_labels),
        "RandomForest": (ensemble.RandomForestClassifier(20, random_state=0), text_labels),
        "RandomForest of two": (ensemble.RandomForestClassifier(20, random_state=0), two_classes),
        "RandomForestRegressor": (ensemble.RandomForestRegressor(20, random_state=0), np.float32),
        "GradientBoosting": (ensemble.GradientBoostingClassifier(n_estimators=9), None),
        "GradientBoosting of two": (ensemble.GradientBoostingClassifier(n_estimators=9), two_classes),
        "HistGradientBoosting": (ensemble.HistGradientBoostingClassifier(max_iter=9), None),
        "HistGradientBoosting of two": (ensemble.HistGradientBoostingClassifier(max_iter=9), two_classes),
        "HistGradientBoostingRegressor": (ensemble.HistGradientBoostingRegressor(max_iter=9), np.float32),
        "AdaBoost": (ensemble.AdaBoostClassifier(n_estimators=4), text_labels),
        "SVC": (chain(preprocessing.StandardScaler(), svm.SVC()), text_labels),
        "SVC of two": (svm.SVC(probability=True, random_state=0), two_classes),
        "SVC with probabilities": (svm.SVC(probability=True, random_state=0), text_labels),
        "NuSVC": (svm.NuSVC(kernel="poly"), None),
        "SVR": (svm.SVR(), np.float32),
        "OneClassSVM": (svm.OneClassSVM(), None),
    }


NAMES = (
    "scaled", "two classes", "names", "LinearSVC", "imputed", "regression", "one-hot", "RandomForest",
    "RandomForest of two", "RandomForestRegressor", "GradientBoosting", "GradientBoosting of two",
    "HistGradientBoosting", "HistGradientBoosting of two", "HistGradientBoostingRegressor", "AdaBoost",
    "SVC", "SVC of two", "SVC with probabilities", "NuSVC", "SVR", "OneClassSVM",
)  # fmt: skip


def whole(values):
    return [int(v) if isinstance(v, bool) else v for v in values] if isinstance(values, list) else values


@pytest.mark.parametrize("name", NAMES)
def test_pipelines_of_scikit_learn(name, tmp_path, monkeypatch):
    """Probabilities to 1e-5, each label; on the native engine, and after they are saved."""
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    make = helper.make_attribute  # skl2onnx writes False among whole numbers, which newer protobufs refuse
    monkeypatch.setattr(helper, "make_attribute", lambda key, value, *rest, **more: make(key, whole(value), *rest, **more))  # fmt: skip
    estimator, labels = pipelines()[name]
    x, y = flowers()
    x = x.astype(np.int64) if name == "one-hot" else x.copy()
    if name == "imputed" or name.startswith("Hist"):
        x[::7, 1] = np.nan
    estimator.fit(x, y if labels is None else labels(y))
    (tmp_path / "a.onnx").write_bytes(to_onnx(estimator, x[:1]).SerializeToString())
    model = rv.from_onnx(tmp_path / "a.onnx")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "RV601")  # NaN is a missing value to imputers and trees
        found = model.predict(x, verbose=0)
    expected = estimator.predict(x)
    if name == "OneClassSVM":
        assert found[0].ravel().tolist() == expected.tolist()
        return
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-5)
        return
    assert found[0].tolist() == expected.tolist()
    assert model.class_names == estimator.classes_.tolist()
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_allclose(found[1], estimator.predict_proba(x), atol=1e-5)
    model.save(tmp_path / "a.ranvier")
    assert rv.load_model(tmp_path / "a.ranvier").predict(x, verbose=0)[0].tolist() == expected.tolist()
