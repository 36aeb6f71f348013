"""First uses from several threads, each in a process of its own with an empty cache."""

import os
import subprocess
import sys

import pytest

KERAS = """
def job(seed):
    import ranvier as rv
    model = rv.Sequential([rv.Input((4,)), rv.layers.Dense(8, activation="relu"), rv.layers.Dense(3)])
    model.compile("adam", rv.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    x = np.random.default_rng(seed).normal(size=(64, 4)).astype("float32")
    return model.fit(x, np.arange(64) % 3, epochs=2, verbose=0).history["loss"][-1]
"""
TORCH = """
def job(seed):
    import ranvier.torch as torch
    from ranvier.torch import nn
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters())
    loss = nn.CrossEntropyLoss()(net(torch.ones(16, 4)), torch.zeros(16, dtype=torch.long))
    loss.backward()
    optimizer.step()
    return loss.item()
"""
POOL = """
with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(job, range(8)))
"""
SERVER = """
async def serve():
    return await asyncio.gather(*(asyncio.to_thread(job, seed) for seed in range(8)))

results = asyncio.run(serve())
"""
USES = {
    "after the import": "import ranvier" + KERAS + POOL,
    "with the import": KERAS + POOL,
    "in a server": KERAS + SERVER,
    "of modules": TORCH + POOL,
}


def first_uses(use, tmp_path):
    """What a fresh process prints and says of eight first uses at a time."""
    heads = "import asyncio\nfrom concurrent.futures import ThreadPoolExecutor\nimport numpy as np\n"
    command = [sys.executable, "-c", heads + use + "print(len(results))\n"]
    environment = {**os.environ, "RANVIER_CACHE": str(tmp_path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("use", USES)
def test_first_uses_from_eight_threads(use, tmp_path):
    program = first_uses(USES[use], tmp_path)
    assert program.stdout == "8\n", program.stderr
