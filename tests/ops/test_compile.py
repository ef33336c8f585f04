"""Compiling a model again costs what the first time cost."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pymc as pm
import pytensor
import pytest
from problems import mass, simulated, tracer
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Variable

import pymc_lens as pl
from pymc_lens.ops.release import release_ops

# All rewrites, and nothing to compile after them.
REWRITES = Mode("py", "fast_run")
POINTS = np.random.default_rng(3).uniform(-1.0, 1.0, (10, 2))


def longest_trace() -> int:
    """Of the stack traces that PyTensor keeps with its variables, in entries: rewrites copy them all."""
    return max(len(getattr(v.tag, "trace", ())) for v in gc.get_objects() if issubclass(type(v), Variable))


def grows(compile_once) -> bool:
    """Whether the longest trace grows by a factor with every compilation: three made it 27 times as long.

    PyTensor adds an entry or two to that of a variable with every compilation, which costs nothing.
    """
    gc.collect()
    compile_once()
    first = longest_trace()
    for _ in range(3):
        compile_once()
    return longest_trace() > 2 * first + 10


def zero_mass(name: str) -> pl.mass.MassProfile:
    radius = pm.Normal.dist(1.0, 0.1)
    return {
        "Isothermal": lambda: pl.mass.Isothermal(einstein_radius=radius),
        "Isothermal of nothing": lambda: pl.mass.Isothermal(pm.Normal.dist(shape=2), (0.0, 0.0), 0.0),
        "PointMass": lambda: pl.mass.PointMass(pm.Normal.dist(shape=2), 0.0),
        "ExternalShear": lambda: pl.mass.ExternalShear(radius, 0.0),
        "MassSheet": lambda: pl.mass.MassSheet((0.0, 0.0), radius),
    }[name]()


@pytest.mark.parametrize(
    "name", ["Isothermal", "Isothermal of nothing", "PointMass", "ExternalShear", "MassSheet"]
)
def test_issue13_F3_masses(name):
    deflections = zero_mass(name).deflections(POINTS)
    assert not grows(lambda: pytensor.function([], deflections, mode=REWRITES))


def test_issue13_F3_light():
    light = pl.light.MultiGaussian(pm.Normal.dist(shape=2), (0.0, 0.0), [0.1, 0.3])
    images = light.images(POINTS)
    assert not grows(lambda: pytensor.function([], images, mode=REWRITES))


def test_issue13_F3_models():
    """Of a lens whose ellipticity is left at zero, with value and gradient."""
    with pm.Model() as model:
        lens = pl.mass.Isothermal(einstein_radius=pm.LogNormal("einstein_radius", 0.0, 0.1))
        light = pl.light.MultiGaussian(pm.Normal("centre", shape=2), (0.0, 0.0), [0.1, 0.3])
        pl.LensedImage("image", tracer(lens + mass(0.1), light=light), observed=simulated())
    assert not grows(lambda: model.logp_dlogp_function(ravel_inputs=True, mode=REWRITES))


def compiled_once() -> weakref.ref:
    """Evaluate value and gradient of a model, and return a reference to what that had prepared."""
    with pm.Model() as model:
        lens = pl.mass.Isothermal(einstein_radius=pm.LogNormal("einstein_radius", 0.0, 0.1))
        image = pl.LensedImage("image", tracer(lens), observed=simulated())
    point = model.initial_point()
    assert np.isfinite(model.compile_logp(mode=REWRITES)(point))
    assert np.isfinite(model.compile_dlogp(mode=REWRITES)(point)).all()
    return weakref.ref(image.owner.op.inversion)


def test_what_a_model_had_prepared_goes_once_its_ops_are_released():
    """PyTensor would keep it: a worker of a survey grew by 70 MB a lens."""
    prepared = compiled_once()
    release_ops()
    gc.collect()
    assert prepared() is None
