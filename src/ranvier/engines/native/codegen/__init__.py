"""LLVM text: the kernels of a schedule, and the program that calls them."""
