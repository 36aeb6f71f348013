"""Modules of PyTorch, from models here and to them."""
