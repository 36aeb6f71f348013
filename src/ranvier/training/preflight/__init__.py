"""Checks before training: mistakes that raise no error, each reported with a code, its place and what to write instead.

`fit` runs the checks before its first step and after its first epoch; ``model.check(x, y)`` returns a `Report`.
"""
