"""The loops over epochs and batches: fit, evaluate, predict, and what happens between batches."""
