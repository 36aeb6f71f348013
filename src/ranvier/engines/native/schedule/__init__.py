"""The schedule: which nodes share a kernel, in which order kernels run, and where values are stored."""
