"""Gradients against central differences."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest


def assert_gradient_matches_differences(built: pm.Model, steps: float, rng: np.random.Generator) -> None:
    """Every value variable's derivative, by fourth-order central differences away from the start."""
    function = built.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    start = pm.blocking.DictToArrayBijection.map(built.initial_point())
    point = start.data + 0.01 * rng.standard_normal(start.data.size)
    names = [name for name, shape, _, _ in start.point_map_info for _ in range(int(np.prod(shape)))]

    def at(values):
        return function(pm.blocking.RaveledVars(values, start.point_map_info))

    gradient = at(point)[1].copy()
    for i, name in enumerate(names):
        step = np.zeros(point.size)
        step[i] = steps
        differences = [
            8.0 * at(point + step)[0],
            -8.0 * at(point - step)[0],
            -at(point + 2 * step)[0],
            at(point - 2 * step)[0],
        ]
        difference = sum(differences) / (12 * steps)
        # Terms of the evidence as large as its noise normalization are rounded before they are differenced.
        rounding = 20 * np.finfo(float).eps * 1e5 / steps
        assert gradient[i] == pytest.approx(difference, rel=1e-6, abs=rounding), name
