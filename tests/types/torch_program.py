"""A program in PyTorch's vocabulary, as a user writes it. A strict type checker reads it; the tests also run it."""

import ranvier as rv
import ranvier.torch as torch
from ranvier.torch import nn
from ranvier.torch.nn import functional as F
from ranvier.torch.utils.data import DataLoader, TensorDataset


class Network(nn.Module):
    """Two linear layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(64, hidden)
        self.second = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(F.relu(self.first(x)))


torch.manual_seed(0)
(x, y), _ = rv.datasets.load_digits()
data = TensorDataset(torch.tensor(x.reshape(-1, 64) / 16, dtype=torch.float32), torch.tensor(y))
loader = DataLoader(data, batch_size=32, shuffle=True)
net = Network(32)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
loss = torch.tensor(0.0)
for _epoch in range(2):
    for images, labels in loader:
        optimizer.zero_grad()
        loss = criterion(net(images), labels)
        loss.backward()
        optimizer.step()
with torch.no_grad():
    predicted = net(data.tensors[0]).argmax(dim=1)
print(loss.item(), (predicted == data.tensors[1]).float().mean().item())
