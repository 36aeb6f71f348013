"""Operators of ``ai.onnx.ml`` on ensembles of trees: all samples walk all trees together, a level in each iteration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.budgets import check_size
from ranvier.interop.onnx.labels import of_classes
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.tabular import both, columns, count_classes, transformed
from ranvier.interop.onnx.values import Context, cast, fixed, like, tensor
from ranvier.ops.loops import scan

# By mode, whether the branch is the true one for an element below, equal to, and above the value of a node.
MODES = {
    "BRANCH_LEQ": (1, 1, 0), "BRANCH_LT": (1, 0, 0), "BRANCH_GTE": (0, 1, 1), "BRANCH_GT": (0, 0, 1),
    "BRANCH_EQ": (0, 1, 0), "BRANCH_NEQ": (1, 0, 1),
}  # fmt: skip
MEMBER = len(MODES)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


class Trees:
    """Nodes of all trees in rows: the column of a sample, a value, and the next nodes.

    ``following`` has those for an element below, equal to, and above the value, and for NaN. A leaf follows itself.
    """

    def __init__(self, features: Any, values: Any, following: Any, roots: Any) -> None:
        self.features, self.values, self.following, self.roots = features, values, following, np.unique(roots)
        if not len(features) == len(values) == len(following):
            raise refuse("attributes of nodes are of different lengths")
        if len(self.roots) < len(roots):
            raise refuse("two trees have one root")
        if following.min() < 0 or following.max() >= len(following) or min(roots) < 0 or max(roots) >= len(following):
            raise refuse("a branch leads to no node")
        at, self.depth = self.roots, 0
        while (following[at] != at[:, None]).any():
            at, self.depth = np.unique(following[at]), self.depth + 1
            if self.depth > len(following):
                raise refuse("its branches lead in a circle")

    def leaves(self, x: Any) -> Any:
        """The nodes at which samples arrive, (samples, trees)."""
        count = fixed(x, 1)
        if self.features.min() < 0 or self.features.max() >= count:
            raise refuse(f"feature {self.features.max()} of an input of {count}")
        if self.values.dtype.name == "float64":
            x = cast(x, "float64")
        features, following = tensor(self.features.astype(np.int32)), tensor(self.following.astype(np.int32).ravel())
        values = tensor(self.values.astype(x.dtype.name))

        def step(at: Any, _: Any) -> Any:
            element, value = o.take_along_axis(x, o.take(features, at), axis=1), o.take(values, at)
            above = o.where(o.greater(element, value), 2, 3)  # neither of the three is NaN
            side = o.where(o.less(element, value), 0, o.where(o.equal(element, value), 1, above))
            return o.take(following, o.add(o.multiply(at, 4), cast(side, "int32"))), None

        start = o.broadcast_to(tensor(self.roots.astype(np.int32)), (x.shape[0], len(self.roots)))
        return scan(step, start, None, length=self.depth)[0] if self.depth else start

    def scores(self, x: Any, votes: tuple[Any, Any, Any], count: int, aggregate: str) -> Any:
        """The votes of the leaves, (nodes, targets, weights), together; in 64 bits, in which sums of them are exact."""
        nodes, targets, weights = votes
        if not len(nodes) == len(targets) == len(weights):
            raise refuse("attributes of votes are of different lengths")
        if len(targets) and not 0 <= min(targets) <= max(targets) < count:
            raise refuse(f"a vote for target {max(targets)} of {count}")
        check_size((len(self.following), count), "the table of its leaves")
        if aggregate not in AGGREGATES:
            raise refuse(f"the aggregate_function {aggregate}. Write {', '.join(AGGREGATES)}")
        none = {"MIN": np.inf, "MAX": -np.inf}.get(aggregate, 0.0)
        combine: Any = {"MIN": np.minimum, "MAX": np.maximum}.get(aggregate, np.add)
        of_nodes = np.full((len(self.following), count), none)
        combine.at(of_nodes, (nodes, targets), np.asarray(weights, np.float64))
        each = o.take(tensor(of_nodes), self.leaves(x), axis=0)
        if aggregate == "SUM":
            return o.sum(each, axis=1)
        if aggregate == "AVERAGE":
            return o.mean(each, axis=1)
        total = (o.min if aggregate == "MIN" else o.max)(each, axis=1)
        return o.where(o.equal(total, none), o.zeros_like(total), total)  # 0 without votes


def _attribute(given: dict[str, Any], name: str) -> Any:
    """Floats of 32 bits, or those of 64 in a tensor; None where there are none."""
    if f"{name}_as_tensor" in given:
        return np.asarray(given[f"{name}_as_tensor"])
    return np.array(given[name], np.float32) if given.get(name) else None


def _of_nodes(given: dict[str, Any], kind: str) -> tuple[Trees, tuple[Any, Any, Any]]:
    """The trees of a classifier or a regressor, and the votes of their leaves."""
    names = list(zip(given["nodes_treeids"], given["nodes_nodeids"], strict=True))
    places = {name: n for n, name in enumerate(names)}
    if len(places) < len(names):
        raise refuse("two nodes of a tree have one number")
    own, modes, values = np.arange(len(names)), given["nodes_modes"], _attribute(given, "nodes_values")
    features = np.array(given["nodes_featureids"], np.int64)
    missing = given.get("nodes_missing_value_tracks_true") or [0] * len(names)
    inner = [mode != "LEAF" for mode in modes]
    unknown = {mode for mode in modes if mode not in (*MODES, "LEAF")}
    if unknown:
        raise refuse(f"nodes of mode {', '.join(sorted(unknown))}. Write {', '.join(MODES)} or LEAF")
    following, entered = np.repeat(own[:, None], 4, axis=1), set[int]()
    for n in own[inner]:
        tree = names[n][0]
        branches = [places.get((tree, given[name][n]), -1) for name in ("nodes_falsenodeids", "nodes_truenodeids")]
        if n in branches:
            raise refuse("a branch leads back to its node")
        following[n] = [branches[t] for t in (*MODES[modes[n]], bool(missing[n]))]
        entered.update(branches)
    features[~np.array(inner)] = 0
    roots = dict[int, int]()
    for n, (tree, _) in enumerate(names):
        roots.setdefault(tree, n)
    if not entered.isdisjoint(roots.values()):
        raise refuse("a branch leads to the first node of a tree. Write its root first")
    ids = zip(given[f"{kind}_treeids"], given[f"{kind}_nodeids"], strict=True)
    votes = [places[name] for name in ids], given[f"{kind}_ids"], _attribute(given, f"{kind}_weights")
    return Trees(features, values, following, list(roots.values())), votes


def _with_base(scores: Any, given: dict[str, Any]) -> Any:
    base = _attribute(given, "base_values")
    if base is None:
        return scores
    if len(base) != scores.shape[1]:
        raise refuse(f"{len(base)} base_values for {scores.shape[1]} targets")
    return o.add(scores, tensor(base.astype(np.float64)))


@row("ai.onnx.ml.TreeEnsembleRegressor")
def tree_ensemble_regressor(
    c: Context, x: Any, n_targets: int = 1, aggregate_function: str = "SUM", post_transform: str = "NONE", **given: Any
) -> Any:
    trees, votes = _of_nodes(given, "target")
    scores = _with_base(trees.scores(columns(x), votes, n_targets, aggregate_function), given)
    return cast(transformed(scores, post_transform), "float32")


@row("ai.onnx.ml.TreeEnsembleClassifier")
def tree_ensemble_classifier(
    c: Context, x: Any, classlabels_int64s: Any = (), classlabels_strings: Any = (), post_transform: str = "NONE",
    **given: Any,
) -> Any:  # fmt: skip
    """With votes for the first of two classes alone they are the score of the second, as all runtimes take them.

    The score of the first is 1 without it where weights are not negative, which are probabilities, else its opposite.
    """
    count = count_classes(classlabels_int64s, classlabels_strings)
    trees, votes = _of_nodes(given, "class")
    single = count == 2 and len(set(votes[1])) == 1
    if single and votes[1][0] != 0:
        raise refuse("votes for the second of two classes alone. Write them for the first, or for both")
    scores = _with_base(trees.scores(columns(x), votes, 1 if single else count, "SUM"), given)
    if single and post_transform in ("NONE", "PROBIT") and votes[2].min() >= 0:
        scores = o.concatenate([o.subtract(1, scores), scores], axis=1)
    elif single:
        scores = both(scores)
    label = of_classes(o.argmax(scores, axis=1), classlabels_int64s, classlabels_strings)
    return label, cast(transformed(scores, post_transform), "float32")


@row("ai.onnx.ml.TreeEnsemble")
def tree_ensemble(
    c: Context, x: Any, nodes_modes: Any, nodes_splits: Any, nodes_featureids: Any, nodes_truenodeids: Any,
    nodes_falsenodeids: Any, nodes_trueleafs: Any, nodes_falseleafs: Any, leaf_targetids: Any, leaf_weights: Any,
    tree_roots: Any, nodes_missing_value_tracks_true: Any = None, membership_values: Any = None, n_targets: int = 1,
    aggregate_function: int = 1, post_transform: int = 0, nodes_hitrates: Any = None,
) -> Any:  # fmt: skip
    """Leaves follow the nodes, and further nodes those: of a set, whose values are searched by halves."""
    modes, leaves = [int(mode) for mode in nodes_modes], len(leaf_targetids)
    after = len(modes) + leaves
    features, values = [*nodes_featureids, *[0] * leaves], [*nodes_splits, *[0.0] * leaves]
    following = [[n] * 4 for n in range(after)]
    missing = nodes_missing_value_tracks_true or [0] * len(modes)
    sets = _sets(membership_values)
    for n, mode in enumerate(modes):
        false, true = (
            child + len(modes) * bool(is_leaf)
            for child, is_leaf in (
                (nodes_falsenodeids[n], nodes_falseleafs[n]), (nodes_truenodeids[n], nodes_trueleafs[n])
            )
        )  # fmt: skip
        absent = true if missing[n] else false
        if mode != MEMBER:
            following[n] = [true if t else false for t in (*list(MODES.values())[mode], missing[n])]
            continue
        if not sets:
            raise refuse("a node of mode BRANCH_MEMBER has no membership_values")
        pending = [(n, sets.pop(0))]
        while pending:
            place, members = pending.pop()
            middle = len(members) // 2
            following[place] = [false, true if members else false, false, absent]
            values[place] = members[middle] if members else 0.0
            for side, part in ((0, members[:middle]), (2, members[middle + 1 :])):
                if part:
                    following[place][side] = len(following)
                    pending.append((len(following), part))
                    features.append(features[n])
                    values.append(0.0)
                    following.append([])
    trees = Trees(np.array(features), np.array(values, nodes_splits.dtype), np.array(following), tree_roots)
    votes = range(len(modes), after), leaf_targetids, leaf_weights
    scores = trees.scores(columns(x), votes, n_targets, AGGREGATES[aggregate_function])
    return like(transformed(scores, TRANSFORMS[post_transform]), x)


def _sets(values: Any) -> list[Sequence[float]]:
    """The values of nodes of mode BRANCH_MEMBER, in order; NaN ends those of one."""
    found: list[list[float]] = [[]]
    for value in () if values is None else np.ravel(values):
        if np.isnan(value):
            found.append([])
        else:
            found[-1].append(value)
    return [sorted(set(part)) for part in (found if found[-1] else found[:-1])]
