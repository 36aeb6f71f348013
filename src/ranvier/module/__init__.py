"""Modules: what networks are made of, in both vocabularies at once."""

from ranvier.module.calls import input_type, mode
from ranvier.module.core import Functional, Module
from ranvier.module.parameter import Parameter
from ranvier.module.sequential import Sequential
from ranvier.module.serialization import REGISTRY, from_architecture, register_module

__all__ = [
    "REGISTRY", "Functional", "Module", "Parameter", "Sequential", "from_architecture", "input_type", "mode",
    "register_module",
]  # fmt: skip
