"""The inversion of one image: coefficients of its linear parts, evidence and gradient at given numbers."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.inversion.basis import ColumnBasis, own_basis, partly_orthonormal_basis
from pymc_lens.inversion.solvers import Solver
from pymc_lens.inversion.solvers.base import Solved, System
from pymc_lens.linalg.precision import Precision
from pymc_lens.linear.base import DenseScheme, Input, LinearScheme, MappedPart, MappedScheme, consecutive
from pymc_lens.linear.mapping import JoinedMapping, join_mappings
from pymc_lens.orthant.truncated_normal import draw_positive
from pymc_lens.regularization.base import Prior
from pymc_lens.response.base import Observed, Response
from pymc_lens.workspace import Workspace

_log = logging.getLogger(__name__)

# Standard deviations of the noise that an amplitude as large as its prior allows would change the image by.
_DARK = 1e-6

# What an inversion reads and what its gradient is of: the data, then the inputs of each part.
Arrays = tuple[np.ndarray, ...]


class EvidenceTerms(NamedTuple):
    """The terms of ln E: minus half the sum of the first five, with that of the prior's determinant negative.

    Suyu et al. 2006 (MNRAS 371, 983), eq. 19. ``log_positivity`` is added where negative sources are
    integrated out of posterior and prior. Where the solver integrates over nothing, those of the determinants
    are zero.
    """

    chi_squared: float
    regularization_term: float
    log_det_curvature_reg: float
    log_det_regularization: float
    noise_normalization: float
    log_positivity: float

    @property
    def log_evidence(self) -> float:
        """The logarithm of the Bayesian evidence."""
        return self.log_positivity - 0.5 * (
            self.chi_squared
            + self.regularization_term
            + self.log_det_curvature_reg
            - self.log_det_regularization
            + self.noise_normalization
        )


class _Image:
    """What one evaluation computed before the priors came in."""

    def __init__(
        self,
        parts: tuple[MappedPart, ...],
        joined: JoinedMapping,
        basis: ColumnBasis,
        observed: Observed,
        whitened: np.ndarray,
    ) -> None:
        self.parts, self.joined, self.basis, self.observed = parts, joined, basis, observed
        self.whitened = whitened
        self.curvature: np.ndarray | None = None

    def write_curvature(self, matrix: np.ndarray) -> None:
        """Write F into the upper triangle of ``matrix`` (n, n), and keep D."""
        self.data_vector = np.empty(len(matrix))
        self.observed.normal_equations(self.whitened, matrix, self.data_vector)


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved inversion.

    Attributes
    ----------
    terms : EvidenceTerms
    solved : Solved
        In terms of the basis of the image's dense columns, as is the factor.
    image
        What was computed before the priors came in: the parts laid out, the basis, the whitened columns, D.
    priors : tuple of Prior
        Of the pixelized sources.
    system : System
    residual
        Whitened residuals, arranged as by `Response.whiten`.
    factor : (n, n) float64
        Cholesky factor (upper triangle, U'U) that the solver left, owned by the workspace.
    """

    terms: EvidenceTerms
    solved: Solved
    image: _Image
    priors: tuple[Prior, ...]
    system: System
    residual: np.ndarray
    factor: np.ndarray

    @property
    def coefficients(self) -> np.ndarray:
        """(n,) pixels of the sources, then amplitudes of the parts that are seen everywhere."""
        return self.with_amplitudes(self.solved.coefficients)

    def with_amplitudes(self, coefficients: np.ndarray) -> np.ndarray:
        """Replace the coefficients in the basis, at the end of (n,), by the parts' amplitudes."""
        mapped, dense = np.split(coefficients, [self._n_mapped])
        return np.concatenate([mapped, self.image.basis.amplitudes(dense)])

    def in_basis(self, coefficients: np.ndarray) -> np.ndarray:
        """Undo `with_amplitudes`."""
        mapped, amplitudes = np.split(coefficients, [self._n_mapped])
        return np.concatenate([mapped, self.image.basis.coefficients(amplitudes)])

    @property
    def _n_mapped(self) -> int:
        return self.solved.coefficients.size - len(self.image.basis.triangle)


class Inversion:
    """The static part of the likelihood of an image: its linear parts, the instrument and the solver.

    Immutable, hashable by content, picklable, and safe to call from several threads at once. Kernels run on
    one thread. An evaluation reads `Arrays`: the data (n_data,), then what each part reads.

    Parameters
    ----------
    parts : sequence of LinearScheme
        In the order of `ordered`, with names of their own.
    response : Response
    solver : Solver

    Raises
    ------
    ValueError
        If the solver does not integrate over a pixelized source, the response observes none, or the parts are
        in another order or share a name.
    """

    def __init__(self, parts: Sequence[LinearScheme], response: Response, solver: Solver) -> None:
        if not solver.marginalises and any(isinstance(part, MappedScheme) for part in parts):
            raise ValueError(
                'positivity: "nnls" integrates over nothing, which leaves a pixelized source without a '
                'measure of its smoothness. Take "map" or "marginal".'
            )
        if not response.maps_sources and any(isinstance(part, MappedScheme) for part in parts):
            raise ValueError(
                f"response: {type(response).__name__} observes no pixelized source. Take TiledBlur."
            )
        if list(parts) != sorted(parts, key=self.ordered) or len({part.name for part in parts}) < len(parts):
            raise ValueError(
                "parts: expected names of their own, and the order of Inversion.ordered, got "
                f"{[part.name for part in parts]}."
            )
        self.parts = tuple(parts)
        self.response = response
        self.solver = solver
        self.mapped = tuple(part for part in self.parts if isinstance(part, MappedScheme))
        self.dense = tuple(part for part in self.parts if isinstance(part, DenseScheme))
        self.evaluations: Counter[str] = Counter()
        self._threads = threading.local()

    @staticmethod
    def ordered(part: LinearScheme) -> tuple[bool, bool]:
        """Key to sort parts by: pixelized sources, confined columns, other columns."""
        dense = isinstance(part, DenseScheme)
        return dense, dense and not part.confined

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.parts, self.response, self.solver)

    @cached_property
    def digest(self) -> str:
        """Hash of the content."""
        content = ([part.digest for part in self.parts], self.response.digest, repr(self.solver))
        return sha256(repr(content).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inversion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    # --- what is static

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """What an evaluation reads, in order."""
        of_parts = [
            each._replace(name=f"{part.name}.{each.name}") for part in self.parts for each in part.inputs
        ]
        return (Input("data", 1), *of_parts)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Places of each part's coefficients."""
        places = consecutive([part.size for part in self.parts])
        return {part.name: place for part, place in zip(self.parts, places, strict=True)}

    @cached_property
    def n_mapped(self) -> int:
        """Pixels of all sources."""
        return sum(part.size for part in self.mapped)

    @cached_property
    def scales(self) -> np.ndarray:
        """(n_dense,) standard deviations of the priors of the dense parts' amplitudes."""
        return np.concatenate([np.empty(0), *(part.scales for part in self.dense)])

    @cached_property
    def confined(self) -> np.ndarray:
        """(n,) whether each coefficient is not negative."""
        return np.concatenate([np.full(part.size, part.confined) for part in self.parts])

    @cached_property
    def _dense_positions(self) -> np.ndarray:
        return np.concatenate([part.positions for part in self.dense])

    @cached_property
    def _has_priors(self) -> bool:
        """Whether evaluations may differ in the parameters of priors alone."""
        return any(each.of_prior for each in self.inputs)

    @property
    def _workspace(self) -> Workspace:
        if not hasattr(self._threads, "workspace"):
            self._threads.workspace = Workspace()
            self._threads.image = None
            self._threads.solved = None
        return self._threads.workspace

    def arrays_of(self, arrays: Arrays) -> dict[str, Arrays]:
        """Split what an evaluation reads, or its gradient, by part."""
        left = iter(arrays[1:])
        return {part.name: tuple(islice(left, len(part.inputs))) for part in self.parts}

    # --- evaluation

    @np.errstate(all="ignore")
    def invert(self, arrays: Arrays) -> Solution:
        """Solve for the coefficients of all parts.

        Parameters
        ----------
        arrays : Arrays

        Returns
        -------
        Solution
            Parts of it live in this thread's workspace, until the next call.

        Raises
        ------
        InadmissibleError
            Where the likelihood is zero: rays that are not finite or leave the mesh, parameters outside their
            domain, light that no fitted pixel sees, a matrix that is not positive definite.
        """
        self._require_finite(
            arrays,
            "non-finite {}",
            "{}: not finite. Check the mass, light and regularization parameters that it is made of.",
        )
        workspace = self._workspace
        n, n_mapped = self.confined.size, self.n_mapped
        matrix = workspace.array("matrix", n, n)
        image = self._image(arrays, matrix)
        priors = self._priors(image.parts, arrays)
        places = [
            (self.places[part.name], prior.precision) for part, prior in zip(self.mapped, priors, strict=True)
        ]
        for place, precision in places:
            precision.add_to(matrix[place, place])
        matrix[n_mapped:, n_mapped:] += image.basis.precision
        system = System(image.data_vector, self.confined, tuple(places))
        solved = self.solver.solve(matrix, system, self._threads.solved, workspace)
        self._threads.solved = solved
        residual = image.whitened - image.observed.predict(solved.coefficients)
        terms = self._terms(solved, image.basis, places, residual, matrix)
        if not np.isfinite(terms.log_evidence):
            raise InadmissibleError(
                "non-finite evidence",
                "A term of the log evidence is beyond what numbers hold: the parameters are extreme.",
            )
        return Solution(terms, solved, image, priors, system, residual, matrix)

    @np.errstate(all="ignore")
    def gradient(self, solution: Solution) -> Arrays:
        """Gradient of the log evidence in all that it reads; consumes the solution's factor.

        Nothing confined, with ``A = F + H``: ``dlnE/dF = -(A^-1 + ss')/2``, ``dlnE/dD = s`` and
        ``dlnE/dH = dlnE/dF + H^-1 / 2``. Otherwise the solver's moments take their places.

        Raises
        ------
        InadmissibleError
            Where a derivative is beyond what numbers hold.
        """
        if not self.solver.marginalises:
            return self._gradient_at_amplitudes(solution)
        mapped_bars, blurred_bar, residual = self._bars(solution)
        dense_bars = [
            part.pullback(self.response.blur_pullback(bar, part.positions))
            for part, bar in zip(self.dense, self._by_dense_part(blurred_bar), strict=True)
        ]
        data_bar = -self.response.unwhiten(residual) / self.response.noise**2
        return self._checked((data_bar, *chain(*mapped_bars, *dense_bars)))

    def log_evidence(self, arrays: Arrays) -> float:
        """Log evidence; -inf at inadmissible points, which are counted in `evaluations`."""
        self.evaluations["value"] += 1
        try:
            return self.invert(arrays).terms.log_evidence
        except InadmissibleError as error:
            self._count(error)
            return -np.inf

    def log_evidence_and_gradient(self, arrays: Arrays) -> tuple[float, Arrays]:
        """Log evidence and its gradient; -inf and zeros at inadmissible points."""
        self.evaluations["value and gradient"] += 1
        try:
            solution = self.invert(arrays)
            return solution.terms.log_evidence, self.gradient(solution)
        except InadmissibleError as error:
            self._count(error)
            return -np.inf, tuple(np.zeros(part.shape) for part in arrays)

    # --- pictures of a solution

    def model_image(self, solution: Solution, coefficients: np.ndarray) -> np.ndarray:
        """Model of the data (n_data,) of coefficients (n,), mapped as in a solution."""
        return self.response.unwhiten(solution.image.observed.predict(solution.in_basis(coefficients)))

    def images(self, solution: Solution, coefficients: np.ndarray) -> dict[str, np.ndarray]:
        """Model of the data (n_data,) of each part alone, by its name."""
        images = {}
        for name, place in self.places.items():
            alone = np.zeros(coefficients.size)
            alone[place] = coefficients[place]
            images[name] = self.model_image(solution, alone)
        return images

    def draw_coefficients(self, solution: Solution, rng: np.random.Generator) -> np.ndarray:
        """Draw coefficients (n,) from their posterior at a solution's parameters.

        It is Gaussian, N(s, (F + H)^-1), and where negative coefficients are excluded the part of it that is
        left.
        """
        if not self.solver.marginalises:
            return solution.coefficients
        drawn = self.solver.draw(solution.solved, solution.factor, solution.system, rng)
        return solution.with_amplitudes(drawn)

    def draw_prior_coefficients(self, solution: Solution, rng: np.random.Generator) -> np.ndarray:
        """Draw coefficients (n,) from their priors at a solution's parameters, whatever its data."""
        sources = [
            _draw_source(prior.precision, part.confined, rng)
            for part, prior in zip(self.mapped, solution.priors, strict=True)
        ]
        amplitudes = rng.standard_normal(self.scales.size) * self.scales
        amplitudes = np.where(self.confined[self.n_mapped :], np.abs(amplitudes), amplitudes)
        return np.concatenate([*sources, amplitudes])

    def draw_prior_image(self, arrays: Arrays, rng: np.random.Generator) -> np.ndarray:
        """Draw data (n_data,) of parts drawn from their priors, with noise.

        Raises
        ------
        InadmissibleError
            As `invert`.
        """
        solution = self.invert(arrays)
        image = self.model_image(solution, self.draw_prior_coefficients(solution, rng))
        return image + rng.standard_normal(image.size) * self.response.noise

    # --- helpers

    def _image(self, arrays: Arrays, matrix: np.ndarray) -> _Image:
        """Everything before the priors; writes F into the upper triangle of ``matrix`` (n, n).

        A second evaluation in a row that differs in the parameters of priors alone keeps F for the next.
        """
        last = self._threads.image
        if self._has_priors and last is not None and self._is_last(arrays):
            if last.curvature is None:
                last.write_curvature(matrix)
                last.curvature = matrix.copy()
            else:
                matrix[:] = last.curvature
            return last
        self._threads.image = None
        kept = self.arrays_of(self._copies(arrays))
        parts = tuple(
            part.lay_out(part.split(kept[part.name])[0], self._workspace.part(part.name))
            for part in self.mapped
        )
        joined = join_mappings([part.mapping for part in parts], [part.size for part in self.mapped])
        basis = self._basis(kept)
        observed = self.response.observe(joined.mapping, self.n_mapped, basis.columns, self._workspace)
        image = _Image(parts, joined, basis, observed, self.response.whiten(arrays[0]))
        image.write_curvature(matrix)
        self._threads.image = image
        return image

    def _copies(self, arrays: Arrays) -> Arrays:
        """Keep what the columns depend on: the caller may write the next point into the same arrays."""
        copies = []
        for each, array in zip(self.inputs, arrays, strict=True):
            copy = array
            if self._has_priors and not each.of_prior:
                copy = self._workspace.array(f"last_{each.name}", *array.shape)
                copy[...] = array
            copies.append(copy)
        return tuple(copies)

    def _is_last(self, arrays: Arrays) -> bool:
        return all(
            np.array_equal(self._workspace.array(f"last_{each.name}", *array.shape), array)
            for each, array in zip(self.inputs, arrays, strict=True)
            if not each.of_prior
        )

    def _priors(self, laid_out: tuple[MappedPart, ...], arrays: Arrays) -> tuple[Prior, ...]:
        of_parts = self.arrays_of(arrays)
        return tuple(
            part.prior(scheme.split(of_parts[scheme.name])[1])
            for scheme, part in zip(self.mapped, laid_out, strict=True)
        )

    def _basis(self, kept: dict[str, Arrays]) -> ColumnBasis:
        if not self.dense:
            return own_basis(np.empty((0, self.response.root_weights.size)), self.scales)
        blurred = self.response.blur([(part.columns(kept[part.name]), part.positions) for part in self.dense])
        self._require_seen(blurred)
        precision = self.scales**-2.0
        if not self.solver.marginalises:
            return own_basis(blurred, precision)
        n_confined = int(self.confined[self.n_mapped :].sum())
        return partly_orthonormal_basis(blurred, n_confined, self.response.root_weights, precision)

    def _terms(
        self,
        solved: Solved,
        basis: ColumnBasis,
        places: list[tuple[slice, Precision]],
        residual: np.ndarray,
        matrix: np.ndarray,
    ) -> EvidenceTerms:
        dense = solved.coefficients[self.n_mapped :]
        log_det_curvature = log_det_prior = 0.0
        if self.solver.marginalises:
            log_det_curvature = 2.0 * (float(np.log(matrix.diagonal()).sum()) + basis.log_det_triangle)
            log_det_prior = sum(precision.log_determinant for _, precision in places)
            log_det_prior += float(np.log(self.scales**-2.0).sum())
        return EvidenceTerms(
            chi_squared=float((residual**2).sum()),
            regularization_term=sum(
                precision.quadratic_form(solved.coefficients[place]) for place, precision in places
            )
            + float(dense @ basis.precision @ dense),
            log_det_curvature_reg=log_det_curvature,
            log_det_regularization=log_det_prior,
            noise_normalization=self.response.noise_normalization,
            log_positivity=solved.log_positivity,
        )

    def _bars(self, solution: Solution) -> tuple[list[list[np.ndarray]], np.ndarray, np.ndarray]:
        """Cotangents of the mapped parts' inputs and of the blurred columns, and the residual of the mean."""
        image, solved, system = solution.image, solution.solved, solution.system
        mean, covariance, prior_moments = self.solver.moments(solved, solution.factor, system)
        residual = solution.residual
        if mean is not solved.coefficients:  # a confined posterior's mean is not where the terms are taken
            residual = residual - image.observed.predict(mean - solved.coefficients)
        precision_bars = [
            precision.evidence_cotangent(covariance[place, place], mean[place], moments)
            for (place, precision), moments in zip(system.priors, prior_moments, strict=True)
        ]
        mapping_bar, blurred_bar = image.observed.pullback(residual, mean, covariance)
        bars = []
        for part, prior, part_bar, precision_bar in zip(
            image.parts, solution.priors, image.joined.pullback(mapping_bar), precision_bars, strict=True
        ):
            parameters_bar, geometry_bar = prior.pullback(precision_bar)
            bars.append([*part.pullback(part_bar, geometry_bar), parameters_bar])
        return bars, image.basis.columns_pullback(blurred_bar), residual

    def _gradient_at_amplitudes(self, solution: Solution) -> Arrays:
        """Only one image is blurred, however many columns there are."""
        data_bar = -self.response.unwhiten(solution.residual) / self.response.noise**2
        image_bar = -self.response.spread(data_bar)[None]
        (position_bars,) = self.response.blur_pullback(image_bar, self._dense_positions)
        bars = [
            part.pullback(np.multiply.outer(amplitudes, position_bar))
            for part, amplitudes, position_bar in zip(
                self.dense,
                self._by_dense_part(solution.solved.coefficients),
                np.split(position_bars, np.cumsum([part.positions.size for part in self.dense])[:-1]),
                strict=True,
            )
        ]
        return self._checked((data_bar, *chain(*bars)))

    def _by_dense_part(self, values: np.ndarray) -> list[np.ndarray]:
        """Split values by the parts that are seen everywhere."""
        places = [self.places[part.name] for part in self.dense]
        return [values[place.start - self.n_mapped : place.stop - self.n_mapped] for place in places]

    def _checked(self, gradient: Arrays) -> Arrays:
        self._require_finite(
            gradient,
            "non-finite derivative in {}",
            "{}: the derivative of the evidence is beyond what numbers hold. The parameters are extreme.",
        )
        return gradient

    def _require_finite(self, arrays: Arrays, reason: str, message: str) -> None:
        for each, array in zip(self.inputs, arrays, strict=True):
            flat = array.ravel()
            # A sum of squares is quicker to look at; that of finite numbers may overflow.
            if not np.isfinite(flat @ flat) and not np.isfinite(flat).all():
                raise InadmissibleError(reason.format(each.name), message.format(each.name))

    def _require_seen(self, columns: np.ndarray) -> None:
        """Refuse columns (n_dense, n_pixels) whose amplitude no pixel knows anything of."""
        whitened = np.sqrt((columns**2) @ self.response.root_weights**2)
        dark = np.flatnonzero(whitened * self.scales < _DARK)
        if dark.size:
            raise InadmissibleError(
                "light without light",
                f"light: columns {dark.tolist()} of {self.scales.size} shine on no fitted pixel, so that "
                "their amplitudes are unknown. Their centre lies far off or in a hole of the mask: change "
                "it, or leave them out.",
            )

    def _count(self, error: InadmissibleError) -> None:
        if not self.evaluations[error.reason]:
            _log.debug("Inadmissible point: %s", error)
        self.evaluations[error.reason] += 1


def _draw_source(precision: Precision, confined: bool, rng: np.random.Generator) -> np.ndarray:
    if not confined:
        return precision.draw(rng)
    zero = np.zeros(precision.size)
    return draw_positive(zero, precision.cholesky(), zero, np.ones(precision.size, bool), rng)
