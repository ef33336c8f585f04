"""The pixelized inversion: mapping, blur, curvature, solution, evidence, and the way back."""
