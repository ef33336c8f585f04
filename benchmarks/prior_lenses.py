"""Small lenses drawn from the prior of their model, whose truth is known down to the source's pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from pymc.blocking import DictToArrayBijection
from pytensor.graph.replace import graph_replace

import pymc_lens as pl
from pymc_lens.inference.climb import COARSE, climb, settled
from pymc_lens.inference.importance import RELIABLE_K, StudentT, Weighted, importance_sample, resample
from pymc_lens.inference.values import value_variables
from pymc_lens.parts import parts_of
from pymc_lens.solved_image import SolvedImage, Source

SHAPE, PIXEL_SCALE, MASK_RADIUS, NOISE = (40, 40), 0.1, 1.8, 0.1
# Standard deviation of the light's amplitudes, given: by default it would be taken from the data.
INTENSITY_SCALE, LIGHT_SIGMAS = 1.0, np.geomspace(0.1, 0.8, 4)
WINDOW, SPLINES = (-0.6, 0.6, -0.6, 0.6), (12, 12)
# Splines of the source whose coefficients are looked at: in the middle, half way, near the border.
PIXELS = (65, 80, 39, 28)
# Of the first proposal, as of pl.sample.
FIRST_DEGREES = 6.0


class PriorLens(NamedTuple):
    """A lens: its random variables, what is derived from its source, and the data (n_fitted,)."""

    parameters: dict[str, np.ndarray]
    quantities: dict[str, float]
    data: np.ndarray


def blank() -> pl.Imaging:
    """A dataset without data."""
    offsets = np.arange(5) - 2
    psf = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 0.9**2))
    full = pl.Imaging(np.zeros(SHAPE), np.full(SHAPE, NOISE), psf, PIXEL_SCALE)
    return full.apply_mask(pl.Mask2D.circular(SHAPE, PIXEL_SCALE, MASK_RADIUS))


def lens_priors() -> dict[str, Any]:
    return {
        "centre": pl.priors.position("centre", 0.02),
        "ell_comps": pl.priors.ell_comps("ell_comps", 0.1),
        "einstein_radius": pm.LogNormal("einstein_radius", 0.0, 0.08),
        "gamma_1": pm.Normal("gamma_1", 0.0, 0.03),
        "gamma_2": pm.Normal("gamma_2", 0.0, 0.03),
        "light_ell_comps": pl.priors.ell_comps("light_ell_comps", 0.1),
    }


def source_priors() -> dict[str, Any]:
    return {
        "scale": pm.LogNormal("scale", np.log(0.15), 0.3),
        "amplitude": pm.LogNormal("amplitude", 0.0, 0.3),
    }


def tracer(parameters: Mapping[str, Any], positivity: str | None) -> pl.Tracer:
    """Mass with shear and light of one centre, and a source of splines in a window.

    ``positivity`` is that of both, or "light": only light is not negative, and integrated over.
    """
    of_light, of_source = ("marginal", None) if positivity == "light" else (positivity, positivity)
    of = parameters
    mass = pl.mass.Isothermal(of["centre"], of["ell_comps"], of["einstein_radius"])
    light = pl.light.MultiGaussian(
        of["centre"], of["light_ell_comps"], LIGHT_SIGMAS, INTENSITY_SCALE, of_light
    )
    pixelization = pl.Pixelization(
        pl.mesh.RectangularWindow(SPLINES, WINDOW, degree=3),
        pl.regularization.MaternSPDE(of["scale"], of["amplitude"]),
        of_source,
    )
    lens = pl.Galaxy(0.5, mass=mass + pl.mass.ExternalShear(of["gamma_1"], of["gamma_2"]), light=light)
    return pl.Tracer([lens, pl.Galaxy(1.0, pixelization=pixelization)])


def build(dataset: pl.Imaging, positivity: str | None) -> pm.Model:
    """The model that lenses are drawn from, given an image."""
    with pm.Model() as model:
        pl.LensedImage("image", tracer(lens_priors() | source_priors(), positivity), observed=dataset)
    return model


def quantities(source: Source) -> dict[str, float]:
    """What is looked at of a source."""
    pixels = {f"source[{k}]": float(source.reconstruction[k]) for k in PIXELS}
    return {"flux": source.flux, "magnification": source.magnification, **pixels}


class Posterior(NamedTuple):
    """Draws of equal weight (n_draws, n) of the model's value variables, and how they were found."""

    points: np.ndarray
    mode: np.ndarray
    weighted: Weighted
    n_gradients: int

    @property
    def is_reliable(self) -> bool:
        """Whether ``pl.sample`` would not go on with NUTS."""
        return self.weighted.pareto_k < RELIABLE_K and self.weighted.effective >= len(self.points)


class Fitter:
    """The steps of ``pl.sample`` and ``pl.reconstruct`` for many images, compiled once.

    The data are an argument of the compiled functions, where those would compile the same model anew for each
    image, which takes longer than to sample it. A vector ``flat`` holds the model's value variables.
    """

    def __init__(self, positivity: str | None) -> None:
        self.dataset = blank()
        with pm.Model() as self.model:
            lensed = tracer(lens_priors() | source_priors(), positivity)
            image = pl.LensedImage("image", lensed, dataset=self.dataset)
        self.inversion, self.parts = image.owner.op.inversion, parts_of(lensed)
        self.free = [rv for rv in self.model.free_RVs if rv is not image]
        point = self.model.initial_point()
        del point["image"]
        info = DictToArrayBijection.map(point).point_map_info
        self.names = [name for name, _, size, _ in info for _ in range(size)]
        self._compile(image, info)

    def _compile(self, image: Any, info: Any) -> None:
        model, flat, data = self.model, pt.dvector("flat"), pt.dvector("data")
        starts = np.cumsum([0, *(size for _, _, size, _ in info)])[:-1]
        parts = {
            name: flat[start : start + size].reshape(shape)
            for (name, shape, size, _), start in zip(info, starts, strict=True)
        }
        values = [model.rvs_to_values[rv] for rv in self.free]
        replaced = {value: pt.specify_shape(parts[value.name], value.type.shape) for value in values}
        replaced[model.rvs_to_values[image]] = data
        outputs = model.replace_rvs_by_values([*self.free, *image.owner.op.dist_params(image.owner)])
        log_density, *outputs = graph_replace([model.logp(), *outputs], replaced, strict=False)
        self.value = pytensor.function([flat, data], log_density)
        self.with_gradient = pytensor.function([flat, data], [log_density, pt.grad(log_density, flat)])
        self.parameters_and_inputs = pytensor.function([flat], outputs)
        of_variables = dict(zip(model.free_RVs, value_variables(model), strict=True))
        by_name = {model.rvs_to_values[rv].name: of_variables[rv] for rv in self.free}
        joined = pt.concatenate([by_name[name].ravel() for name, *_ in info])
        self._flat = pytensor.function(self.free, joined)

    def flat(self, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
        """Value variables (n,) of parameters in their own units."""
        return self._flat(*(parameters[rv.name] for rv in self.free))

    def parameters(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Parameters in their own units."""
        values = self.parameters_and_inputs(flat)[: len(self.free)]
        return {rv.name: np.asarray(value) for rv, value in zip(self.free, values, strict=True)}

    def inputs(self, flat: np.ndarray) -> list[np.ndarray]:
        """What the inversion reads, besides the data."""
        return self.parameters_and_inputs(flat)[len(self.free) :]

    def sample(
        self,
        data: np.ndarray,
        start: np.ndarray,
        draws: int,
        rng: np.random.Generator,
        held: Sequence[str] = (),
    ) -> Posterior:
        """Climb from a start and sample around the mode; positive parameters of some names may be held."""
        free = np.array([name.removesuffix("_log__") not in held for name in self.names])
        density = _Conditional(self, data, start, np.flatnonzero(free))
        end = climb(density, start[free], np.arange(free.sum()), COARSE, _silent, "")
        end, root = settled(density, end, _silent, "")
        first = StudentT(end, np.linalg.cholesky(root @ root.T), FIRST_DEGREES)
        weighted = importance_sample(density.values, [], first, float(draws), rng, lambda found: None)
        points = [density.whole(weighted.points[k]) for k in resample(weighted, draws, rng)]
        return Posterior(np.array(points), density.whole(end), weighted, density.evaluations)

    def reconstructed(self, flat: np.ndarray, data: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
        """What is looked at of a source that is drawn from its posterior."""
        solution = self.inversion.invert((data, *self.inputs(flat)))
        image = self.image(self.inversion.draw_coefficients(solution, rng), solution)
        (source,) = image.sources.values()
        return quantities(source)

    def image(self, coefficients: np.ndarray, solution: Any) -> SolvedImage:
        """What coefficients look like."""
        return SolvedImage(self.inversion, self.dataset, solution, coefficients, self.parts, _no_tracer)


class _Conditional:
    """Log density of some of the coordinates, the others held; what climbs and samplers ask of a density."""

    def __init__(self, fitter: Fitter, data: np.ndarray, held: np.ndarray, free: np.ndarray) -> None:
        self._fitter, self._data, self._held, self._free = fitter, data, held, free
        self._last: tuple[bytes, tuple[float, np.ndarray]] | None = None
        self.evaluations = 0

    def whole(self, free: np.ndarray) -> np.ndarray:
        flat = self._held.copy()
        flat[self._free] = free
        return flat

    def __call__(self, free: np.ndarray) -> tuple[float, np.ndarray]:
        key = free.tobytes()
        if self._last is None or self._last[0] != key:
            self.evaluations += 1
            value, gradient = self._fitter.with_gradient(self.whole(free), self._data)
            self._last = key, (float(value), gradient[self._free])
        return self._last[1]

    def values(self, points: np.ndarray) -> np.ndarray:
        found = np.array([float(self._fitter.value(self.whole(point), self._data)) for point in points])
        return np.where(np.isnan(found), -np.inf, found)

    @staticmethod
    def shared(work: Callable[[Any], np.ndarray], tasks: Sequence[Any]) -> Iterator[tuple[int, np.ndarray]]:
        return ((k, work(task)) for k, task in enumerate(tasks))


def numbers(parameters: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Each number of the parameters by its label."""
    return {
        name + "".join(f"[{i}]" for i in place): float(value[place])
        for name, value in parameters.items()
        for place in np.ndindex(value.shape)
    }


def by_name(draws: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Draws (n_draws,) of each number."""
    return {name: np.array([each[name] for each in draws]) for name in draws[0]}


class PriorLenses:
    """Lenses drawn from the prior, each from a seed of its own."""

    def __init__(self, fitter: Fitter, seed: int) -> None:
        self._fitter, self.seed = fitter, seed

    def parameters(self, n_lenses: int) -> list[dict[str, np.ndarray]]:
        """Random variables of the first so many lenses."""
        free = self._fitter.free
        drawn = pm.draw(free, n_lenses, random_seed=self.seed)
        return [{rv.name: values[k] for rv, values in zip(free, drawn, strict=True)} for k in range(n_lenses)]

    def lens(self, number: int, parameters: dict[str, np.ndarray]) -> PriorLens:
        """Draw source, light and noise."""
        rng, fitter = np.random.default_rng([self.seed, number]), self._fitter
        data = np.zeros(fitter.dataset.fitted.size)
        solution = fitter.inversion.invert((data, *fitter.inputs(fitter.flat(parameters))))
        image = fitter.image(fitter.inversion.draw_prior_coefficients(solution, rng), solution)
        (source,) = image.sources.values()
        data = image.model + rng.normal(0.0, NOISE, image.model.size)
        return PriorLens(parameters, quantities(source), data)


def _no_tracer() -> pl.Tracer:
    raise NotImplementedError("A pixelized source is looked at without.")


def _silent(text: str) -> None:
    pass
