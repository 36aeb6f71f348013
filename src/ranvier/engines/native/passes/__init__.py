"""Passes: each takes a graph and returns one that computes the same, faster. `compiler.PASSES` lists them in order."""
