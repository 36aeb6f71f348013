"""``torch.version``: the version that programs ask for, and what it was built with."""

from ranvier.support import version

__version__ = f"2.0.0+ranvier.{version.__version__}"  # programs may require PyTorch 2
cuda = hip = git_version = None
debug = False
