"""The graph language: everything above builds graphs, and every engine runs them."""

from ranvier.graph import ops as ops  # declares the primitives, whichever module is imported first
