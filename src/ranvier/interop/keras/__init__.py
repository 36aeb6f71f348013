"""Models in Keras's files, and from and to models of Keras."""
