"""Golden values: the bits of trained weights, and the exported names, which change by intent alone."""

from tests.golden import dense_programs, files, image_programs, model_programs, sequence_programs, torch_programs  # noqa: F401  programs
