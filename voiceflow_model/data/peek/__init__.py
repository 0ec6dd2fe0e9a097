"""A look at what a run would learn from: numbers, a picture, and sound."""
