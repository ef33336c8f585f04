"""From an image to a posterior without a human: stages, each of which can be called alone."""
