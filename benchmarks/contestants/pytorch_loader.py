"""The explicit loop of PyTorch tutorials: a TensorDataset in a DataLoader, the loss read at every step."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contestants import Job
from benchmarks.contestants.pytorch import LOSSES, best_threads, build, optimizer_of
from benchmarks.workloads import Workload


def loop(workload: Workload, x: NDArray[Any], y: NDArray[Any]) -> Job:
    dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)))
    loader = DataLoader(dataset, batch_size=workload.batch, shuffle=True, num_workers=0)
    criterion = LOSSES[workload.loss]()

    def steps(net: torch.nn.Module, optimizer: torch.optim.Optimizer, stop: int = -1) -> float:
        running_loss = 0.0
        for i, data in enumerate(loader, 0):
            if i == stop:
                break
            inputs, labels = data
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        return running_loss / len(loader)

    scratch = build(workload)
    scratch_optimizer = optimizer_of(workload, scratch)

    def trial() -> float:
        begin = time.perf_counter()
        steps(scratch, scratch_optimizer, 200)
        return time.perf_counter() - begin

    threads = best_threads(trial)
    net = build(workload)
    optimizer = optimizer_of(workload, net)

    def epochs(count: int) -> tuple[float, float]:
        torch.set_num_threads(threads)
        begin, mean = time.perf_counter(), 0.0
        for _ in range(count):
            mean = steps(net, optimizer)
        return time.perf_counter() - begin, mean

    return Job(lambda n: epochs(n)[1], lambda n: epochs(n)[0], f"{threads} thread{'s' * (threads > 1)}")
