"""Passes: functions from a graph to a graph that this engine's programs are made faster by."""
