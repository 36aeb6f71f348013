# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.ops.torch.random import Generator as Generator
from ranvier.ops.torch.random import _Process as _Process
from ranvier.ops.torch.random import fork_rng as fork_rng
from ranvier.ops.torch.random import get_rng_state as get_rng_state
from ranvier.ops.torch.random import initial_seed as initial_seed
from ranvier.ops.torch.random import manual_seed as manual_seed
from ranvier.ops.torch.random import seed as seed
from ranvier.ops.torch.random import set_rng_state as set_rng_state

__all__ = ['Generator', 'default_generator', 'fork_rng', 'get_rng_state', 'initial_seed', 'manual_seed', 'seed', 'set_rng_state']
default_generator: _Process
