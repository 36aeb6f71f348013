"""Operations that PyTorch alone has, or has with a meaning of its own."""
