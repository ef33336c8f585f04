"""Issue 13, lines 8 and 11: what is wrong with the parts of a model is said where the part is made.

`MODEL` lists the public constructors with good arguments and what each argument has to be; every argument is
tried with everything that it must not be (`BAD`). `TABLE` adds what only makes sense by hand. Data, results,
samplers and figures have tables of their own (`ELSEWHERE`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from problems import mass, simulated, tracer

import pymc_lens as pl
from pymc_lens.light.base import LightSum
from pymc_lens.mesh.border import Border

SCALAR, VECTOR, MATRIX = pt.dscalar("anything"), pt.vector("several", shape=(3,)), pt.dmatrix("table")
IMAGE = np.ones((5, 6))
OVERLAY = pl.image_mesh.Overlay((6, 6))
MESH = pl.mesh.RectangularBox((5, 5), (-1.0, 1.0, -1.0, 1.0))
PRIOR = pl.regularization.Constant()
LIGHT = pl.light.MultiGaussian((0.0, 0.0), (0.0, 0.0), [0.1, 0.2])

# No number, whatever else is asked of it.
NO_NUMBER = {
    "string": "a",
    "none": None,
    "boolean": True,
    "numpy boolean": np.True_,
    "complex": 1.0 + 2.0j,
    "object": object(),
    "dictionary": {"value": 1.0},
    "quantity": 1.0 * u.arcsec,
    "dimensionless quantity": u.Quantity(1.0),
    "masked array": np.ma.array(1.0, mask=False),
    "distribution": pm.Normal,
}
NOT_FINITE = {"nan": np.nan, "infinite": -np.inf}
SEVERAL = {"list": [1.0, 5.0], "one in a list": [1.0], "vector": np.ones(3)}
NO_SCALAR_VARIABLE = {"vector variable": VECTOR, "matrix variable": MATRIX}


class Bad(NamedTuple):
    """Values that an argument must not have, by the error they give."""

    types: dict[str, Any]
    values: dict[str, Any]


def _numbers(**values: Any) -> Bad:
    return Bad(
        NO_NUMBER | {"complex variable": pt.zscalar(), "boolean variable": pt.bscalar("b") > 0},
        NOT_FINITE | SEVERAL | NO_SCALAR_VARIABLE | values,
    )


def _fixed(**values: Any) -> Bad:
    return Bad(NO_NUMBER | NO_SCALAR_VARIABLE | {"variable": SCALAR}, NOT_FINITE | SEVERAL | values)


def _pairs(**values: Any) -> Bad:
    inside = {f"{name} inside": (0.1, value) for name, value in NO_NUMBER.items()}
    return Bad(
        inside | {"of quantities": [0.1, 0.1] * u.arcsec, "of strings": "ab"},
        {
            "number": 0.1,
            "three": (0.1, 0.1, 0.1),
            "one": [0.1],
            "none": None,
            "set": {0.1, 0.2},
            "iterator": iter((0.1, 0.2)),
            "array without axes": np.array(0.1),
            "nan": (0.1, np.nan),
            "variable": SCALAR,
            "variable of three": VECTOR,
            "matrix variable": MATRIX,
            "pairs": 3 * [(0.1, 0.1)],
            "vector variable inside": (0.1, VECTOR),
            **values,
        },
    )


IMAGES = Bad(
    {
        "string": "a",
        "none": None,
        "booleans": IMAGE > 0,
        "complex": IMAGE * 1j,
        "variable": pt.dmatrix("image"),
        "quantity": IMAGE * u.Jy,
        "masked array": np.ma.array(IMAGE, mask=IMAGE > 2),
        "dataset": object(),
        "ragged": [[1.0, 2.0], [3.0]],
    },
    {"nan": IMAGE * np.nan, "negative": -IMAGE, "dark": 0 * IMAGE, "number": 1.0, "cube": np.ones((2, 3, 4))},
)
SHAPES = Bad(
    {
        "number": 40,
        "floats": (40.0, 40.0),
        "booleans": (True, True),
        "three": (4, 4, 4),
        "one": (40,),
        "string": "ab",
        "none": None,
        "variable": SCALAR,
    },
    {"too small": (1, 6), "negative": (-6, 6)},
)
COUNTS = Bad(
    {"float": 10.0, "fraction": 10.5, "boolean": True, "string": "a", "none": None, "variable": SCALAR},
    {"negative": -1, "zero": 0},
)


def _kind(wanted: type) -> Bad:
    strangers = {"string": "a", "none": None, "number": 1.0, "class": wanted, "list": [], "variable": SCALAR}
    return Bad(strangers, {})


def _optional(bad: Bad) -> Bad:
    return Bad({name: value for name, value in bad.types.items() if name != "none"}, bad.values)


BAD = {
    "number": _numbers(),
    "not negative": _numbers(negative=-1.0),
    "positive": _numbers(negative=-1.0, zero=0.0),
    "fixed": _fixed(),
    "fixed, not negative": _fixed(negative=-1.0),
    "fixed positive": _fixed(negative=-1.0, zero=0.0),
    "fixed positive, optional": _optional(_fixed(negative=-1.0, zero=0.0)),
    "above one": _fixed(one=1.0, negative=-2.0),
    "order": Bad(COUNTS.types, COUNTS.values | {"two": 2, "five": 5}),
    "index": _numbers(none_at_all=0.0, too_large=20.0),
    "slope gamma": _numbers(steep=2.5),
    "slope": _numbers(one=1.0, three=3.0),
    "redshift": _fixed(negative=-1.0),
    "pair": _pairs(),
    "ell_comps": _pairs(circle=(0.6, 0.8), outside_with_a_variable=(SCALAR, 1.5)),
    "ell_comps of groups": _pairs(circle=(0.6, 0.8), pairs=[(0.1, 0.1), (1.5, 0.1)]),
    "image": IMAGES,
    "image, optional": _optional(IMAGES),
    "shape": SHAPES,
    "count": COUNTS,
    "image mesh": Bad(
        {"number": 40, "class": pl.image_mesh.Overlay, "floats": (40.0, 40.0), "none": None, "mesh": MESH},
        {"too small": (1, 6)},
    ),
    "border": _kind(Border),
    "mesh": Bad(_kind(pl.mesh.Mesh).types | {"shape": (40, 40)}, {}),
    "prior": _kind(pl.regularization.Regularization),
    "ridge": _kind(pl.regularization.Ridge),
    "positivity": Bad({}, {"boolean": True, "word": "yes", "list": ["map"], "number": 1}),
    "mass": _optional(Bad(_kind(pl.mass.MassProfile).types | {"light": LIGHT}, {})),
    "light": _optional(Bad(_kind(pl.light.LightProfile).types | {"mass": pl.mass.MassSheet()}, {})),
    "pixelization": _optional(Bad(_kind(pl.Pixelization).types | {"mesh": MESH}, {})),
    "function": Bad({"number": 1.0, "none": None, "profile": pl.mass.MassSheet()}, {}),
    "widths": Bad(
        {"strings": ["a"], "none": None, "booleans": [True], "quantity": [0.1, 0.2] * u.arcsec,
         "variable": VECTOR, "matrix variable": MATRIX, "complex": [1j], "text": "ab"},
        {"negative": [-0.1], "zero": [0.0], "nan": [np.nan], "nothing": [], "number": 0.1,
         "two groups": [[0.1], [0.1]], "cube": np.ones((1, 2, 3))},
    ),
    "intensities": Bad(
        {"strings": ["a"], "none": None, "booleans": [True], "quantity": [0.1] * u.arcsec, "complex": [1j],
         "text": "a", "complex variable": pt.zvector()},
        {"nan": [np.nan], "nothing": [], "number": 0.1, "two": [0.1, 0.2], "variable of three": VECTOR,
         "matrix": MATRIX},
    ),
    "proportions": Bad(
        {"strings": ["a", "b"], "none": None, "booleans": [True, True], "quantity": [0.1, 0.1] * u.arcsec},
        {"nan": [np.nan, 1.0], "one": [1.0], "dark": [1.0, -1.0], "variable of three": VECTOR},
    ),
    "share": _numbers(negative=-0.1, above_one=1.1),
    "inner slope": _numbers(core=0.0, two=2.0),
    "factors": Bad(
        {"list": [1.0], "none": None, "number": 1.0, "text": {(0.5, 1.0): "a"}, "key": {("a", 1.0): 0.5}},
        {"no pair": {0.5: 0.7}, "nan": {(0.5, 1.0): np.nan}, "several": {(0.5, 1.0): [0.1, 0.2]}},
    ),
    "light, needed": _kind(pl.light.LightProfile),
    "extent": Bad(
        {"strings": ("a", 1, 0, 1), "none": None, "variable": (SCALAR, 1, 0, 1), "complex": (0, 1j, 0, 1),
         "quantity": [-1, 1, -1, 1] * u.arcsec, "three and none": (0, 1, 2, None)},
        {"number": 1.0, "pair": (-1.0, 1.0), "nan": (0, 1, 0, np.nan), "upside down": (1, -1, -1, 1)},
    ),
    "degree": Bad({"float": 1.0, "boolean": True, "string": "cubic", "none": None}, {"two": 2, "minus": -1}),
    "cosmology": _kind(pl.Tracer),
    "name": Bad({"number": 1, "none": None, "variable": SCALAR}, {}),
    "galaxies": Bad(
        {"one galaxy": pl.Galaxy(0.5), "number": 1.0, "none": None, "class": [pl.Galaxy],
         "mass": [pl.mass.MassSheet()], "variable": SCALAR, "array without axes": np.array(1.0)},
        {"none at all": []},
    ),
    "profiles": Bad({"a list": [pl.mass.MassSheet()], "other things": (1.0,), "none": None}, {}),
}  # fmt: skip


class Constructor(NamedTuple):
    """A public name, good arguments, and what each argument that is checked has to be."""

    name: str
    good: dict[str, Any]
    kinds: dict[str, str]


_KERNEL = {"coefficient": "positive", "scale": "positive"}
_ADAPT = {
    "adapt_image": "image",
    "inner_coefficient": "positive",
    "outer_coefficient": "positive",
    "signal_scale": "positive",
    "ridge": "ridge",
}
_SPREAD = {
    "n_points": "count",
    "adapt_image": "image",
    "weight_power": "fixed positive",
    "weight_floor": "fixed positive",
}
_TRACED = {"image_mesh": "image mesh", "border": "border"}
_BOX = {"shape": (5, 5), "extent": (-1.0, 1.0, -1.0, 1.0)}
_GAUSSIANS = {"centre": (0.0, 0.0), "ell_comps": (0.0, 0.0)}
_GAUSSIAN_KINDS = {
    "centre": "pair",
    "ell_comps": "ell_comps of groups",
    "intensity_scale": "fixed positive, optional",
}

_LIGHT_KINDS = {
    "centre": "pair",
    "ell_comps": "ell_comps",
    "intensity_scale": "fixed positive, optional",
    "positivity": "positivity",
}

MODEL = [
    Constructor("light.Sersic", {}, _LIGHT_KINDS | {"effective_radius": "positive", "sersic_index": "index"}),
    Constructor("light.Exponential", {}, _LIGHT_KINDS | {"effective_radius": "positive"}),
    Constructor("light.DevVaucouleurs", {}, _LIGHT_KINDS | {"effective_radius": "positive"}),
    Constructor(
        "light.SersicCore",
        {},
        _LIGHT_KINDS
        | {"effective_radius": "positive", "sersic_index": "index", "radius_break": "positive"}
        | {"gamma": "slope gamma", "alpha": "positive"},
    ),
    Constructor("light.Gaussian", {}, _LIGHT_KINDS | {"sigma": "positive"}),
    Constructor("light.Moffat", {}, _LIGHT_KINDS | {"alpha": "positive", "beta": "positive"}),
    Constructor(
        "mass.Isothermal",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "einstein_radius": "not negative"},
    ),
    Constructor(
        "mass.IsothermalCore",
        {},
        {
            "centre": "pair",
            "ell_comps": "ell_comps",
            "einstein_radius": "not negative",
            "core_radius": "not negative",
        },
    ),
    Constructor(
        "mass.dPIEMass",
        {"ra": 0.1, "rs": 2.0},
        {
            "centre": "pair",
            "ell_comps": "ell_comps",
            "ra": "not negative",
            "rs": "not negative",
            "b0": "not negative",
        },
    ),
    Constructor(
        "mass.NFW",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "kappa_s": "not negative", "scale_radius": "positive"},
    ),
    Constructor("mass.NFWSph", {}, {"centre": "pair", "kappa_s": "not negative", "scale_radius": "positive"}),
    Constructor(
        "mass.NFWTruncatedSph",
        {},
        {
            "centre": "pair",
            "kappa_s": "not negative",
            "scale_radius": "positive",
            "truncation_radius": "positive",
        },
    ),
    Constructor(
        "mass.ExternalPotential",
        {},
        {
            "centre": "pair",
            "gamma_1": "number",
            "gamma_2": "number",
            "tau_1": "number",
            "tau_2": "number",
            "delta_1": "number",
            "delta_2": "number",
        },
    ),
    Constructor(
        "mass.PowerLawMultipole",
        {},
        {
            "m": "order",
            "centre": "pair",
            "einstein_radius": "not negative",
            "slope": "slope",
            "multipole_comps": "pair",
            "ell_comps": "ell_comps",
        },
    ),
    Constructor(
        "mass.Sersic",
        {},
        {
            "centre": "pair",
            "ell_comps": "ell_comps",
            "intensity": "positive",
            "effective_radius": "positive",
            "sersic_index": "index",
            "mass_to_light_ratio": "positive",
        },
    ),
    Constructor(
        "mass.MultiGaussian",
        _GAUSSIANS | {"sigmas": [0.1], "intensities": [1.0]},
        {"centre": "pair", "ell_comps": "ell_comps of groups", "sigmas": "widths"}
        | {"intensities": "intensities", "mass_to_light_ratio": "not negative"},
    ),
    Constructor(
        "mass.PowerLawCore",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "einstein_radius": "not negative", "slope": "slope"}
        | {"core_radius": "positive"},
    ),
    Constructor(
        "mass.gNFW",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "kappa_s": "not negative", "scale_radius": "positive"}
        | {"inner_slope": "inner slope"},
    ),
    Constructor(
        "mass.cNFW",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "kappa_s": "not negative", "scale_radius": "positive"}
        | {"core_radius": "positive"},
    ),
    Constructor(
        "light.Mixture",
        {"profile": LIGHT, "proportions": [1.0, 0.5]},
        {"profile": "light, needed", "proportions": "proportions"},
    ),
    Constructor("FlatWCDM", {}, {"H0": "positive", "Om0": "share", "w0": "number"}),
    Constructor("ScalingFactors", {"factors": {(0.5, 1.0): 0.7}}, {"factors": "factors"}),
    Constructor("mass.PointMass", {}, {"centre": "pair", "einstein_radius": "not negative"}),
    Constructor(
        "mass.PowerLaw",
        {},
        {"centre": "pair", "ell_comps": "ell_comps", "einstein_radius": "not negative", "slope": "slope"},
    ),
    Constructor("mass.MassSheet", {}, {"centre": "pair", "kappa": "number"}),
    Constructor("mass.ExternalShear", {}, {"gamma_1": "number", "gamma_2": "number"}),
    Constructor("mass.MassSum", {"profiles": (pl.mass.MassSheet(),)}, {"profiles": "profiles"}),
    Constructor("mass.FromPotential", {"function": lambda y, x: 0.5 * x * y}, {"function": "function"}),
    Constructor("mass.FromDeflections", {"function": lambda y, x: (y, x)}, {"function": "function"}),
    Constructor(
        "light.MultiGaussian", _GAUSSIANS | {"sigmas": [0.1]}, _GAUSSIAN_KINDS | {"sigmas": "widths"}
    ),
    Constructor(
        "light.MultiGaussian.log_spaced",
        _GAUSSIANS | {"sigma_min": 0.1, "sigma_max": 1.0, "n_per_group": 3},
        _GAUSSIAN_KINDS
        | {"sigma_min": "fixed positive", "sigma_max": "fixed positive", "n_per_group": "count"},
    ),
    Constructor("image_mesh.Overlay", {"shape": (6, 6)}, {"shape": "shape", "rotation": "fixed"}),
    Constructor("image_mesh.Hilbert", {"n_points": 9, "adapt_image": IMAGE}, _SPREAD),
    Constructor("image_mesh.KMeans", {"n_points": 9, "adapt_image": IMAGE}, _SPREAD),
    Constructor("mesh.Rectangular", {"shape": (6, 6)}, {"shape": "shape"}),
    Constructor("mesh.RectangularBox", _BOX, {"shape": "shape", "extent": "extent", "degree": "degree"}),
    Constructor("mesh.RectangularWindow", _BOX, {"shape": "shape", "extent": "extent", "degree": "degree"}),
    Constructor(
        "mesh.StretchedWindow",
        _BOX | {"core": 0.2},
        {"shape": "shape", "extent": "extent", "degree": "degree", "core": "fixed positive"},
    ),
    Constructor(
        "mesh.RectangularAdaptive",
        {"shape": (6, 6)},
        {"shape": "shape", "adapt_image": "image, optional", "bandwidth": "fixed positive"},
    ),
    Constructor("mesh.VoronoiNN", {"image_mesh": OVERLAY}, _TRACED),
    Constructor("mesh.Delaunay", {"image_mesh": OVERLAY}, _TRACED),
    Constructor("mesh.DelaunayMagnification", {"shape": (6, 6)}, {"shape": "shape", "border": "border"}),
    Constructor("mesh.BorderRelocation", {"mesh": MESH}, {"mesh": "mesh"}),
    Constructor("mesh.ZeroRing", {}, {"n_vertices": "count", "radius_factor": "above one"}),
    Constructor(
        "regularization.Ridge", {}, {"relative": "fixed, not negative", "absolute": "fixed, not negative"}
    ),
    Constructor("regularization.Constant", {}, {"coefficient": "positive", "ridge": "ridge"}),
    Constructor("regularization.ConstantSplit", {}, {"coefficient": "positive", "ridge": "ridge"}),
    Constructor("regularization.Dirichlet", {}, {"coefficient": "positive"}),
    Constructor("regularization.Zeroth", {}, {"coefficient": "positive"}),
    Constructor(
        "regularization.ConstantZeroth",
        {},
        {"coefficient_neighbor": "positive", "coefficient_zeroth": "positive", "ridge": "ridge"},
    ),
    Constructor("regularization.Adapt", {"adapt_image": IMAGE}, _ADAPT),
    Constructor("regularization.AdaptSplit", {"adapt_image": IMAGE}, _ADAPT),
    Constructor("regularization.AdaptPower", {"adapt_image": IMAGE}, _ADAPT | {"power": "positive"}),
    Constructor("regularization.AdaptSplitPower", {"adapt_image": IMAGE}, _ADAPT | {"power": "positive"}),
    Constructor(
        "regularization.BrightnessZeroth",
        {"adapt_image": IMAGE},
        {"adapt_image": "image", "coefficient": "positive", "signal_scale": "positive"},
    ),
    Constructor("regularization.GaussianKernel", {}, _KERNEL),
    Constructor("regularization.ExponentialKernel", {}, _KERNEL),
    Constructor("regularization.MaternKernel", {}, _KERNEL | {"nu": "fixed positive"}),
    Constructor(
        "regularization.MaternAdaptPowerKernel",
        {"adapt_image": IMAGE},
        _ADAPT | {"scale": "positive", "power": "positive", "nu": "fixed positive"},
    ),
    Constructor(
        "regularization.MaternSPDE", {}, {"scale": "positive", "amplitude": "positive", "nu": "count"}
    ),
    Constructor(
        "regularization.AdaptAmplitude",
        {"regularization": PRIOR, "adapt_image": IMAGE},
        {
            "regularization": "prior",
            "adapt_image": "image",
            "faint_ratio": "positive",
            "signal_scale": "positive",
        },
    ),
    Constructor(
        "Pixelization",
        {"mesh": MESH, "regularization": PRIOR},
        {"mesh": "mesh", "regularization": "prior", "positivity": "positivity"},
    ),
    Constructor(
        "Galaxy",
        {"redshift": 0.5},
        {"redshift": "redshift", "mass": "mass", "light": "light", "pixelization": "pixelization"},
    ),
    Constructor("Tracer", {"galaxies": [pl.Galaxy(1.0)]}, {"galaxies": "galaxies", "cosmology": "cosmology"}),
    Constructor(
        "priors.einstein_radius",
        {"name": "radius", "ell_comps": (0.1, 0.0)},
        {"name": "name", "ell_comps": "pair", "median": "fixed positive", "factor": "fixed positive"},
    ),
    Constructor("priors.ell_comps", {"name": "e"}, {"name": "name", "sigma": "fixed positive"}),
    Constructor(
        "priors.position",
        {"name": "centre", "sigma": 0.1},
        {"name": "name", "sigma": "fixed positive", "mu": "pair"},
    ),
]


def find(name: str) -> Any:
    found: Any = pl
    for part in name.split("."):
        found = getattr(found, part)
    return found


class Row(NamedTuple):
    """What is called, the error that it gives, and words that the message contains."""

    id: str
    call: Callable[[], Any]
    error: type[Exception]
    words: str


def of_constructors() -> Iterator[Row]:
    for name, good, kinds in MODEL:
        for argument, kind in kinds.items():
            for error, values in zip((TypeError, ValueError), BAD[kind], strict=True):
                for what, value in values.items():
                    arguments = good | {argument: value}
                    yield Row(
                        f"{name} {argument} {what}",
                        partial(find(name), **arguments),
                        error,
                        rf"^({argument}|shape|sigmas|Name needs to be a string)\b",
                    )


@cache
def dataset() -> pl.Imaging:
    return simulated()


def image(**changes: Any) -> Any:
    with pm.Model():
        return pl.LensedImage(**({"name": "image", "tracer": tracer(), "observed": dataset()} | changes))


class Disk(pl.light.LightProfile):
    """A user's profile, whose images are what it is told."""

    n_columns = 1

    def __init__(self, function: Callable[[np.ndarray], Any], intensity_scale: Any = None) -> None:
        self.function = function
        self.intensity_scale = intensity_scale

    def images(self, grid: Any) -> Any:
        return self.function(grid)


class Halo(pl.mass.MassProfile):
    """A user's profile, whose deflections are what it is told."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def deflections_yx(self, y: Any, x: Any) -> Any:
        return self.function(y, x)


def with_mass(function: Callable[[Any, Any], Any]) -> pl.Galaxy:
    return pl.Galaxy(0.5, mass=pl.mass.ExternalShear() + Halo(function))


class Method(Disk):
    """A user's profile, whose number of amplitudes is no property."""

    def n_columns(self) -> int:
        return 1


class NoColumns(Disk):
    """A user's profile without amplitudes."""

    n_columns = 0

    def __init__(self) -> None:
        super().__init__(np.ones)


def in_a_model_of(coords: dict[str, Any], function: Callable[..., Any], *arguments: Any) -> Any:
    with pm.Model(coords=coords):
        return function(*arguments)


def with_light(light: pl.light.LightProfile) -> Any:
    return image(tracer=tracer(light=light))


def behind(*extra: pl.Galaxy) -> pl.Tracer:
    return pl.Tracer([pl.Galaxy(0.5, mass=mass()), *tracer().galaxies[1:], *extra])


FAR_MASS = pl.mass.PointMass(einstein_radius=0.1)
HAND = [
    # mass profiles
    Row("mass.MassSum of nothing", lambda: pl.mass.MassSum(()), ValueError, "at least one mass profile"),
    Row("mass.Isothermal + number", lambda: pl.mass.Isothermal() + 1.0, TypeError, "unsupported operand"),
    Row("mass.Isothermal + light", lambda: pl.mass.Isothermal() + LIGHT, TypeError, "unsupported operand"),
    Row(
        "mass.MassProfile without deflections",
        lambda: type("Empty", (pl.mass.MassProfile,), {}),
        TypeError,
        "Empty: a mass profile defines deflections_yx or potential_yx",
    ),
    Row(
        "mass.FromDeflections of numpy's hypot",
        lambda: pl.mass.FromDeflections(lambda y, x: (y / np.hypot(y, x), x / np.hypot(y, x))),
        TypeError,
        "function: it fails on PyTensor variables .*pytensor.tensor, such as pt.hypot .* NumPy's",
    ),
    Row(
        "mass.FromDeflections of numpy's where",
        lambda: pl.mass.FromDeflections(lambda y, x: (np.where(y > 0, y, 0.0), x)),
        TypeError,
        "function: it fails on PyTensor variables .*pytensor.tensor",
    ),
    Row(
        "mass.FromDeflections of numpy's zeros",
        lambda: pl.mass.FromDeflections(lambda y, x: (np.zeros_like(y), x)),
        TypeError,
        "function: alpha_y: expected an expression of PyTensor, .* Functions of NumPy do not give one",
    ),
    Row(
        "mass.FromDeflections of an if",
        lambda: pl.mass.FromDeflections(lambda y, x: (y, x) if y > 0 else (x, y)),
        TypeError,
        "function: it fails on PyTensor variables",
    ),
    Row(
        "mass.FromDeflections of one",
        lambda: pl.mass.FromDeflections(lambda y, x: y),
        ValueError,
        r"function: expected it to return a pair \(alpha_y, alpha_x\)",
    ),
    Row(
        "mass.FromDeflections of a stack",
        lambda: pl.mass.FromDeflections(lambda y, x: pt.stack([y, x], axis=-1)),
        ValueError,
        r"function: expected it to return a pair \(alpha_y, alpha_x\)",
    ),
    Row(
        "mass.FromDeflections of sums of rows",
        lambda: pl.mass.FromDeflections(lambda y, x: (y[:, None] * x, x)),
        ValueError,
        "function: expected alpha_y elementwise in y and x, of shape",
    ),
    Row(
        "mass.FromDeflections of an array",
        lambda: pl.mass.FromDeflections(lambda y, x: (np.zeros(3), x)),
        ValueError,
        r"function: expected alpha_y elementwise .* got shape \(3,\)",
    ),
    Row(
        "mass.FromDeflections of complex numbers",
        lambda: pl.mass.FromDeflections(lambda y, x: (y, x * 1j)),
        TypeError,
        "function: alpha_x: expected real numbers, got a variable of type .*complex128",
    ),
    Row(
        "mass.MassProfile of numpy's hypot",
        lambda: with_mass(lambda y, x: (y / np.hypot(y, x), x)),
        TypeError,
        "Halo.deflections_yx: it fails on PyTensor variables .*pytensor.tensor, such as pt.hypot",
    ),
    Row(
        "mass.MassProfile of one angle",
        lambda: with_mass(lambda y, x: y),
        ValueError,
        r"Halo.deflections_yx: expected it to return a pair \(alpha_y, alpha_x\), got y",
    ),
    Row(
        "mass.MassProfile of an array",
        lambda: with_mass(lambda y, x: (y, np.zeros(3))),
        ValueError,
        "Halo.deflections_yx: expected alpha_x elementwise in y and x",
    ),
    Row(
        "mass.FromPotential of numpy's maximum",
        lambda: pl.mass.FromPotential(lambda y, x: np.maximum(y, x)),
        TypeError,
        "function: it fails on PyTensor variables",
    ),
    Row(
        "mass.FromPotential of a pair",
        lambda: pl.mass.FromPotential(lambda y, x: (y, x)),
        ValueError,
        "function: expected the potential elementwise",
    ),
    Row(
        "mass.Isothermal.deflections at one number",
        lambda: pl.mass.Isothermal().deflections(1.0),
        ValueError,
        r"grid: expected \(\.\.\., 2\) positions",
    ),
    Row(
        "mass.Isothermal.convergence at (y, x, z)",
        lambda: pl.mass.Isothermal().convergence(np.ones((4, 3))),
        ValueError,
        r"grid: expected \(\.\.\., 2\) positions",
    ),
    Row(
        "mass.Isothermal.magnification at booleans",
        lambda: pl.mass.Isothermal().magnification(np.ones((4, 2), bool)),
        TypeError,
        "grid: expected real numbers",
    ),
    Row(
        "mass.PointMass.potential at a quantity",
        lambda: pl.mass.PointMass().potential(np.ones((4, 2)) * u.mas),
        TypeError,
        r"grid: expected plain numbers, got a Quantity in mas. Give an angle as value.to_value\('arcsec'\)",
    ),
    # light profiles
    Row("light.LightProfile as it is", lambda: pl.light.LightProfile(), TypeError, "abstract"),
    Row("light.MultiGaussian + mass", lambda: LIGHT + pl.mass.MassSheet(), TypeError, "unsupported operand"),
    Row(
        "light.LightSum of numbers", lambda: LightSum((1.0,)), TypeError, "profiles: expected a LightProfile"
    ),
    Row(
        "light.MultiGaussian.images at booleans",
        lambda: LIGHT.images(np.ones((4, 2), bool)),
        TypeError,
        "grid: expected real numbers",
    ),
    Row(
        "light.MultiGaussian.log_spaced upside down",
        lambda: pl.light.MultiGaussian.log_spaced((0, 0), (0, 0), 1.0, 0.1, 3),
        ValueError,
        "sigma_min: expected 0 < sigma_min < sigma_max",
    ),
    Row(
        "light.LightProfile.images without its axis",
        lambda: with_light(Disk(lambda grid: pt.exp(-(pt.as_tensor(grid)[:, 0] ** 2)))),
        ValueError,
        r"Disk.images: expected \(n_columns, n_points\), here .* A profile of one amplitude returns",
    ),
    Row(
        "light.LightProfile.images in the wrong order",
        lambda: with_light(Disk(lambda grid: np.ones((len(grid), 1)))),
        ValueError,
        r"Disk.images: expected \(n_columns, n_points\)",
    ),
    Row(
        "light.LightProfile.images of numpy's where",
        lambda: with_light(Disk(lambda grid: np.where(grid[:, 0] < SCALAR, 1.0, 0.0)[None])),
        TypeError,
        "Disk.images: it fails on PyTensor variables .*pytensor.tensor",
    ),
    Row(
        "light.LightProfile.images of complex numbers",
        lambda: with_light(Disk(lambda grid: np.ones((1, len(grid))) * 1j)),
        TypeError,
        "Disk.images: expected real numbers, got a variable of type .*complex128",
    ),
    Row(
        "light.LightProfile.n_columns as a method",
        lambda: pl.Galaxy(0.5, light=Method(np.ones)),
        TypeError,
        "Method.n_columns: expected an integer, got <bound method",
    ),
    Row(
        "light.LightProfile.n_columns of zero",
        lambda: pl.Galaxy(0.5, light=LIGHT + NoColumns()),
        ValueError,
        "NoColumns.n_columns: expected at least 1, got 0",
    ),
    Row(
        "light.LightProfile.intensity_scale",
        lambda: with_light(Disk(lambda grid: np.ones((1, len(grid))), intensity_scale="a")),
        TypeError,
        "intensity_scale: expected real numbers, got 'a'",
    ),
    # meshes and priors
    Row("image_mesh.ImageMesh as it is", lambda: pl.image_mesh.ImageMesh(), TypeError, "abstract"),
    Row("mesh.Mesh as it is", lambda: pl.mesh.Mesh(), TypeError, "abstract"),
    Row(
        "mesh.NearestVertex of a number", lambda: pl.mesh.NearestVertex(1.0), TypeError, "positional argument"
    ),
    Row("regularization.Regularization", lambda: pl.regularization.Regularization(), TypeError, "abstract"),
    Row(
        "image_mesh.Overlay of far too many points",
        lambda: pl.mesh.VoronoiNN((10**6, 10**6)),
        ValueError,
        "shape: expected what fits into the .* GiB of memory, got 1000000 x 1000000 points",
    ),
    Row(
        "mesh.RectangularAdaptive of few pixels",
        lambda: pl.mesh.RectangularAdaptive((4, 9)),
        ValueError,
        "shape: expected at least 5 source pixels",
    ),
    Row(
        "regularization.Constant of two",
        lambda: pl.regularization.Constant([1.0, 5.0]),
        ValueError,
        r"coefficient: expected a single number, got shape \(2,\)",
    ),
    # galaxies and tracers
    Row(
        "Galaxy at a random redshift",
        lambda: pl.Galaxy(pm.Normal.dist()),
        TypeError,
        "redshift: expected a number, got the variable .* Redshifts are fixed",
    ),
    Row(
        "Tracer.traced_grid to a random redshift",
        lambda: tracer().traced_grid(np.ones((4, 2)), pm.Normal.dist()),
        TypeError,
        "redshift: expected a number, got the variable .* Redshifts are fixed",
    ),
    Row(
        "Tracer.magnification to nan",
        lambda: tracer().magnification([[1, 1]], np.nan),
        ValueError,
        "redshift",
    ),
    Row(
        "Tracer.convergence beyond",
        lambda: tracer().convergence([[1, 1]], 3.0),
        ValueError,
        "redshift: .* 0 to",
    ),
    Row(
        "Tracer.potential to text",
        lambda: tracer().potential([[1, 1]], "far"),
        TypeError,
        "redshift: expected",
    ),
    Row(
        "Tracer.traced_grid of text",
        lambda: tracer().traced_grid("ab"),
        TypeError,
        "grid: expected real numbers",
    ),
    Row(
        "Tracer with a mass behind its source",
        lambda: behind(pl.Galaxy(2.0, mass=FAR_MASS)),
        ValueError,
        "galaxies: the mass at redshift 2.0 lenses nothing: the source, at 1.0, is not behind it",
    ),
    Row(
        "Tracer with a mass in its source plane",
        lambda: behind(pl.Galaxy(1.0, mass=FAR_MASS)),
        ValueError,
        "galaxies: the mass at redshift 1.0 lenses nothing",
    ),
    # the image
    Row("LensedImage of a number", lambda: image(name=1), TypeError, "name: expected a str, got int"),
    Row(
        "LensedImage of galaxies",
        lambda: image(tracer=[pl.Galaxy(1.0)]),
        TypeError,
        "tracer: expected a Tracer",
    ),
    Row("LensedImage of a class", lambda: image(tracer=pl.Tracer), TypeError, "tracer: expected a Tracer"),
    Row(
        "LensedImage of an array",
        lambda: image(observed=IMAGE),
        TypeError,
        "observed: expected Imaging, got nd",
    ),
    Row(
        "LensedImage of nothing",
        lambda: image(observed=None),
        TypeError,
        "observed: give the dataset either",
    ),
    Row(
        "LensedImage of both",
        lambda: image(dataset=dataset()),
        TypeError,
        "observed: give the dataset either",
    ),
    Row(
        "LensedImage without source",
        lambda: image(tracer=pl.Tracer([pl.Galaxy(0.5, mass=mass()), pl.Galaxy(1.0)])),
        ValueError,
        r"galaxies: nothing shines",
    ),
    Row("LensedImage with a sky that is none", lambda: image(sky=0.1), TypeError, "sky: expected a Sky"),
    Row("Sky of a high order", lambda: pl.Sky(2), ValueError, "order: expected 0"),
    Row("Sky of a negative scale", lambda: pl.Sky(scale=-1.0), ValueError, "scale: expected"),
    Row(
        "Galaxy positive in two ways",
        lambda: image(
            tracer=behind(
                pl.Galaxy(0.4, light=pl.light.MultiGaussian((0, 0), (0, 0), [1.0], positivity="map")),
                pl.Galaxy(0.4, light=pl.light.MultiGaussian((0, 0), (0, 0), [1.0], positivity="marginal")),
            )
        ),
        ValueError,
        "positivity: expected the same of all parts",
    ),
    Row(
        "Galaxy with pixels whose amplitudes are not integrated over",
        lambda: image(
            tracer=behind(
                pl.Galaxy(0.4, light=pl.light.MultiGaussian((0, 0), (0, 0), [1.0], positivity="nnls"))
            )
        ),
        ValueError,
        'positivity: "nnls" integrates over nothing',
    ),
    Row("LensedImage with dims", lambda: image(dims=("a", "b")), TypeError, "dims: expected"),
    Row("LensedImage with a shape", lambda: image(shape=3), TypeError, "shape: "),
    Row(
        "LensedImage.dist of an array",
        lambda: pl.LensedImage.dist(tracer(), IMAGE),
        TypeError,
        "dataset: exp",
    ),
    Row(
        "LensedImage outside a model",
        lambda: pl.LensedImage("image", tracer(), observed=dataset()),
        TypeError,
        "No model on context stack",
    ),
    Row("priors.ell_comps outside", lambda: pl.priors.ell_comps("e"), TypeError, "No model on context stack"),
]

for prior, dim in (("ell_comps", "e_yx"), ("position", "yx")):
    HAND.append(
        Row(
            f"priors.{prior} beside a dimension of that name",
            partial(in_a_model_of, {dim: ["a", "b", "c"]}, find(f"priors.{prior}"), "name", 0.1),
            ValueError,
            rf"{dim}: expected the coordinates \(.* of the model's dimension .* got \('a', 'b', 'c'",
        )
    )
for error, width in ((TypeError, "a"), (TypeError, True), (ValueError, -1.0), (ValueError, [0.1, 0.0])):
    HAND.append(
        Row(
            f"priors.EllComps of width {width}",
            partial(pl.priors.EllComps.dist, width),
            error,
            "sigma: expected",
        )
    )

TABLE = [*of_constructors(), *HAND]

# Public names that other files try, or that hold results and are never built by hand.
ELSEWHERE = {
    "test_arviz.py": ("as_image", "sample_prior_predictive"),
    "test_bad_data.py": ("Image", "Imaging", "Mask2D", "RadialBins", "simulate_imaging"),
    "test_convert.py": ("convert",),
    "test_cross_validation.py": ("compute_log_likelihood", "loo_moment_match", "sample_loo_predictive"),
    "test_evidence.py": ("compare_evidence", "log_marginal_likelihood"),
    "test_fit_lens.py": (
        "fit_lens",
        "pipeline.fit_lens",
        "pipeline.isothermal",
        "pipeline.power_law",
        "pipeline.read_folder",
    ),
    "test_image_positions.py": ("ImagePositions",),
    "test_inference.py": ("find_mode", "find_modes", "sample"),
    "test_plot.py": ("plot",),
    "test_point.py": ("fit_at",),
    "test_point_source.py": ("light.PointSource",),
    "test_population.py": ("PopulationLikelihood", "Selection", "check_population"),
    "test_priors.py": ("priors.profile",),
    "test_quantities.py": tuple(f"quantities.{name}" for name in pl.quantities.__all__ if name.islower()),
    "test_results.py": ("reconstruct", "sample_posterior_predictive", "save", "make_folder"),
    "test_sensitivity.py": ("sensitivity",),
    "test_catalogue.py": ("Catalogue",),
    "test_simulate_survey.py": ("simulate_survey", "write_survey"),
    "test_survey.py": ("survey",),
    "test_tuning.py": ("tune_regularization",),
}
RESULTS = {"FitImaging", "InadmissibleError", "Mode", "mass.Hessian", "regularization.PYAUTOLENS_RIDGE"}
RESULTS |= {"quantities.Curves", "quantities.PointImages", "SimulatedLens", "TunedRegularization"}
RESULTS |= {
    "LogMarginalLikelihood",
    "Criterion",
    "LensFit",
    "Verdict",
    "pipeline.Criterion",
    "pipeline.LensFit",
    "pipeline.Verdict",
}


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in TABLE])
def test_issue13_line8_bad_input_says_what_is_wrong(row: Row) -> None:
    model = pm.Model() if row.id.startswith("priors.") and "outside" not in row.id else nullcontext()
    with model, pytest.raises(row.error, match=row.words) as raised:
        row.call()
    assert type(raised.value) is row.error


@pytest.mark.parametrize("constructor", MODEL, ids=lambda constructor: constructor.name)
def test_issue13_line8_good_input_passes(constructor: Constructor) -> None:
    with pm.Model():
        find(constructor.name)(**constructor.good)


def public_names() -> set[str]:
    names: set[str] = set()
    for name in pl.__all__:
        member = getattr(pl, name)
        if not isinstance(member, ModuleType) or name in ("convert", "plot"):
            names.add(name)
        else:
            names.update(f"{name}.{inner}" for inner in member.__all__)
    return names


def test_issue13_line8_every_public_name_is_tried() -> None:
    tried = {re.split(r"[ (]", row.id)[0] for row in TABLE}
    tried |= {".".join(name.split(".")[:2]) for name in tried}
    elsewhere = {name for names in ELSEWHERE.values() for name in names}
    assert public_names() - tried - elsewhere - RESULTS == set()
    for file, names in ELSEWHERE.items():
        (path,) = Path(__file__).parent.rglob(file)
        text = path.read_text()
        assert "pytest.raises" in text
        assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("mesh", [pl.mesh.VoronoiNN, pl.mesh.Delaunay])
def test_issue13_line11_a_shape_is_an_overlay(mesh: Any) -> None:
    assert (
        mesh((40, 40)) == mesh([40, 40]) == mesh(np.array([40, 40])) == mesh(pl.image_mesh.Overlay((40, 40)))
    )
    vertices = mesh((12, 12)).scheme(dataset().plane).image_plane_vertices
    np.testing.assert_array_equal(vertices, pl.image_mesh.Overlay((12, 12)).vertices(dataset().plane))


def test_issue13_line8_what_looks_bad_and_is_good() -> None:
    """Arrays without axes, integers of NumPy, variables, and mass that lenses only light pass."""
    assert pl.mass.Isothermal(einstein_radius=np.array(1.0), centre=np.zeros(2)).centre[0] == 0.0
    assert (
        pl.mass.Isothermal((0, SCALAR), pt.dvector("ell_comps"), pt.lscalar("n")).einstein_radius is not None
    )
    assert pl.mesh.ZeroRing(np.int32(9)).n_vertices == 9
    light = pl.Galaxy(3.0, light=LIGHT)
    assert behind(pl.Galaxy(2.0, mass=FAR_MASS), light).lenses(3.0)
    constant = pl.mass.FromDeflections(lambda y, x: (0.1, 0.0))
    np.testing.assert_array_equal(constant.deflections([[1.0, 2.0], [0.0, 0.0]]).eval(), [[0.1, 0.0]] * 2)


def test_issue13_line8_a_dimension_of_three_is_no_position() -> None:
    with pm.Model(coords={"axis": ["y", "x", "z"], "yx": ["y", "x"]}):
        assert pl.mass.PointMass(centre=pm.Normal("two", dims="yx"))
        three = pm.Normal("three", dims="axis")
        with pytest.raises(ValueError, match="centre: expected two components, got the variable"):
            pl.mass.PointMass(centre=2.0 * three)
