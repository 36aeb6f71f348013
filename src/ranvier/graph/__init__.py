"""The waist: one small graph language. Everything above builds graphs; every engine below runs them."""

from ranvier.graph import (
    ops as ops,
)  # declares the primitives, whichever module of the waist is imported first
