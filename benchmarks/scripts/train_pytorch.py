"""The complete program in PyTorch, data in memory: python train_pytorch.py x.npy y.npy epochs.

One thread: two are no faster on matrices this small, as the trial of the warm workloads shows.
"""

import sys

import numpy as np
import torch
from torch import nn

torch.set_num_threads(1)
# Copy on write, because PyTorch requires writable arrays.
x, y = (np.load(path, mmap_mode="c") for path in sys.argv[1:3])
inputs, labels = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), fused=True)
mean = 0.0
for _ in range(int(sys.argv[3])):
    total, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    for index in torch.randperm(len(inputs)).split(32):
        target = labels[index]
        optimizer.zero_grad()
        outputs = model(inputs[index])
        loss = criterion(outputs, target)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(index)
        correct += (outputs.detach().argmax(1) == target).sum()
    mean = float(total) / len(inputs)
print(mean)
