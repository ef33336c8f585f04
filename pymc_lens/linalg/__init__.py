"""Linear algebra that numba and SciPy do not offer in the form needed here."""
