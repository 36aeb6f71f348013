"""One step as one graph: the objective, the optimizer's rule, the metrics, and the program that it becomes."""
