"""Tensors: values that are computed when they are read, and the tape that records what to compute."""
