"""The value of a node at an index, as LLVM.

An index has an `At` for each dimension: a number, plus the same step from each of the 16 lanes to the next. So an index
names either one element or 16. Values are computed on demand, once in each scope.
"""

from __future__ import annotations

from collections import Counter

from ranvier.engines.native.codegen.elementwise import ELEMENTWISE
from ranvier.engines.native.codegen.kernel import Index, Kernel, Value
from ranvier.engines.native.codegen.sources import SOURCES, reduce_small
from ranvier.engines.native.schedule.view import View, move
from ranvier.engines.native.target.lanes import ELEMENT, vector
from ranvier.graph.maps import inlined
from ranvier.graph.node import Node


class KernelWriter(Kernel):
    """Writes one kernel function, by the rules of `ELEMENTWISE` and `SOURCES`."""

    def value(self, node: Node, index: Index) -> Value:
        """The node at the index. Scalars that this kernel does not compute are computed once, in the prologue."""
        before = self.mask
        if all(at.step == 0 and at.lanes is None for at in index):
            self.mask = None  # a single element has no lanes
        known = self.known(node, index)
        if known is None and node.shape == () and not any(n.shape == () for n in self.computed_here):
            # Straight-line code that does not depend on this kernel's results: the outermost scope keeps the value.
            inner, self.scopes = self.scopes, self.scopes[:1]
            with self.function.at_entry():
                known = self._make(node, ())
            self.scopes = inner
            self.scopes[0][(node, (), None)] = known
        elif known is None:
            known = self._make(node, index)
            self.remember(node, index, known)
        self.mask = before
        return known

    def _make(self, node: Node, index: Index) -> Value:
        view = None
        if not self._is_computed_here(node):
            view = self._in_memory(node)
        elif node.op.is_view and not self._is_computed_here(node.inputs[0]):  # of a value in memory
            source = self._in_memory(node.inputs[0])
            view = move(node, source) if source is not None else None
        if view is not None:
            return self.load(view, index)
        name = node.op.name
        if name == "add" or name == "sub":
            fused = self._fused(node, index)
            if fused is not None:
                return fused
        if name == "map":
            return self.value(self._inlined(node), index)
        if node.op.kind == "elementwise":
            return self._elementwise(node, index)
        if node.op.kind == "layout":  # the same value
            return self.value(node.inputs[0], index)
        if node.op.kind == "reduce":
            return reduce_small(self, node, index)
        return SOURCES[name](self, node, index)

    def _in_memory(self, node: Node) -> View | None:
        """Where a node is. A number in the code is none that is read, even if the program stores it somewhere."""
        return None if node.op.name == "constant" and not node.ndim else self.module.view(node)

    def _is_computed_here(self, node: Node) -> bool:
        """Whether this kernel computes the node, or the operand of its movements: it is in registers, not in memory."""
        while node not in self.computed_here:
            if not node.op.is_view:
                return False
            node = node.inputs[0]
        return True

    def _elementwise(self, node: Node, index: Index) -> Value:
        operands = [self.value(i, index) for i in node.inputs]
        wide = any(v.wide for v in operands)
        elements = [ELEMENT[i.dtype] for i in node.inputs]
        names = [self.widen(v, e) if wide else v.name for v, e in zip(operands, elements, strict=True)]
        types = [vector(e) if wide else e for e in elements]
        return Value(ELEMENTWISE[node.op.name](self, node, types, names, wide), wide)

    def _fused(self, node: Node, index: Index) -> Value | None:
        """a*b+c as one fused multiply-add, if nothing else needs the product. It is so on every target."""
        if node.dtype not in ("float32", "float64"):
            return None
        first, second = node.inputs
        negate_product = negate_other = False
        if self._is_product(first):
            product, other = first, second
            negate_other = node.op.name == "sub"
        elif self._is_product(second):
            product, other = second, first
            negate_product = node.op.name == "sub"
        else:
            return None
        values = [self.value(n, index) for n in (*product.inputs, other)]
        wide = any(v.wide for v in values)
        element = ELEMENT[node.dtype]
        type_ = vector(element) if wide else element
        a, b, c = (self.widen(v, element) if wide else v.name for v in values)
        if negate_product:
            a = self.function.op(f"fneg {type_} {a}")
        if negate_other:
            c = self.function.op(f"fneg {type_} {c}")
        return Value(self.call("fma", type_, a, b, c), wide)

    def _is_product(self, node: Node) -> bool:
        uses = self.inner_uses.get(node) or self.module.uses[node]
        return node.op.name == "mul" and uses == 1 and self.module.view(node) is None

    def _inlined(self, node: Node) -> Node:
        """A map as the operations that it consists of; what it has in common with others is computed once.

        All maps of the kernel are known before the first is written: whether a product is fused with the sum that reads
        it must not depend on what was written before, a whole tile or its rest.
        """
        if node not in self.maps:
            maps = [each for each in self.computed_here if each.op.name == "map"]
            self.maps = {each: inlined(each, self.inner) for each in (*self.maps, *maps, node)}
            own = {*self.inner.values()}
            self.inner_uses = Counter(read for made in own for read in own.intersection(made.inputs))
            self.computed_here |= own  # though an equal node, such as a constant that is spread, may be in memory
        return self.maps[node]
