"""Files: a model with its optimizer's state, and the values that go into it."""
