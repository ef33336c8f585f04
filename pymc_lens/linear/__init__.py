"""The linear parts of an image: their columns and priors from a few arrays, and the way back."""
