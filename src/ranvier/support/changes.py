"""The number of changes to what compiled programs depend on: modules, the engine, devices.

It is the one element of a list, since code that runs often reads it: a call of `predict` compares it alone.
"""

counted = [0]
