"""What every room may use: messages for names and arguments, registries of classes, checks of numbers."""
