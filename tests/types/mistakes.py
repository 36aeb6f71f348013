"""Mistakes that a type checker finds before the program runs: each line names the rule that reports it."""

import ranvier as rv
import ranvier.torch as torch
from ranvier import layers
from ranvier.torch import nn

model = rv.Sequential([layers.Dense("64")])  # reportArgumentType
model.fit([[1.0]], [[1.0]], epoch=5)  # reportCallIssue
model.compile(optimiser="adam")  # reportCallIssue
layers.Conv2D(8)  # reportCallIssue
layers.Dropout(rat=0.5)  # reportCallIssue
rv.optimizers.Adam(lr=1e-3)  # reportCallIssue
rv.callbacks.EarlyStopping(patienc=3)  # reportCallIssue
rv.layers.Dens(3)  # reportAttributeAccessIssue
nn.Linear(3)  # reportCallIssue
nn.Linear("3", 4)  # reportArgumentType
torch.optim.Adam(model.parameters(), rl=1e-3)  # reportCallIssue
model.fit([[1.0]], [[1.0]]).history["loss"].appendd(1.0)  # reportAttributeAccessIssue
