"""What all parts of the compiler know of the target: its registers, its lanes, the names of types."""
