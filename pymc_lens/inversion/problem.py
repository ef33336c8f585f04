"""The pixelized inversion of one dataset: source, evidence and gradient at given numbers."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from pymc_lens.errors import InadmissibleError
from pymc_lens.imaging import Imaging
from pymc_lens.inversion.light import (
    LightBasis,
    LightBlur,
    orthonormal_basis,
    prepare_light_blur,
    profile_basis,
)
from pymc_lens.inversion.mapping import MappingMatrix, mapping_matrix, mapping_matrix_pullback
from pymc_lens.inversion.solver import SOLVERS, Solved, Solver
from pymc_lens.inversion.tiles import (
    TileBlocks,
    Tiles,
    curvature,
    model_image,
    prepare_tiles,
    tile_blocks,
    tile_pullback,
)
from pymc_lens.linalg.precision import Precision
from pymc_lens.mesh.base import MeshGeometry, MeshScheme
from pymc_lens.regularization.base import Prior, RegularizationScheme
from pymc_lens.validation import require_memory
from pymc_lens.workspace import Workspace

_log = logging.getLogger(__name__)

# Of the size of the curvature matrix, that an evaluation with its gradient holds at once.
_MATRICES = 4

# Standard deviations of the noise that an amplitude as large as its prior allows would change the image by.
_DARK = 1e-6

# A source is seen in pixels where its image exceeds this many standard deviations of the noise, and this
# fraction of its brightest pixel.
_SIGNIFICANT, _FAINT = 3.0, 0.05


class InversionInputs(NamedTuple):
    """Everything an inversion depends on at one point of parameter space; also the shape of its gradient.

    Attributes
    ----------
    data : (n_fitted,) float64
        Surface brightness of the fitted pixels.
    rays : (n_rays, 2) float64
        Source-plane (y, x) of the sub-pixels, arcsec.
    vertices : (n_vertices, 2) float64
        Source-plane positions of traced image-plane vertices; empty for meshes that have none.
    light : (n_light, n_light_pixels) float64
        Unblurred pixel-averaged columns of the linear light profiles.
    regularization : (n_parameters,) float64
    """

    data: np.ndarray
    rays: np.ndarray
    vertices: np.ndarray
    light: np.ndarray
    regularization: np.ndarray


def _require_finite(inputs: InversionInputs, reason: str, message: str) -> None:
    for name, part in inputs._asdict().items():
        if not np.isfinite(part).all():
            raise InadmissibleError(reason.format(name), message.format(name))


class EvidenceTerms(NamedTuple):
    """The terms of ln E: minus half the sum of the first five, with that of the prior's determinant negative.

    Suyu et al. 2006 (MNRAS 371, 983), eq. 19. ``log_positivity`` is added where negative sources are
    integrated out of posterior and prior.
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


@dataclass(frozen=True, eq=False)
class Inversion:
    """A solved inversion.

    Attributes
    ----------
    terms : EvidenceTerms
    solved : Solved
        In terms of ``light_basis``, as are D and the factor.
    light_basis : LightBasis
    data_vector : (n_source + n_light,) float64
        D.
    tile_residual : (n_tiles, 64) float64
        Whitened residuals by tile.
    geometry, mapping, blocks, prior
        Intermediate results that the gradient reads. ``blocks`` is owned by the problem's workspace.
    factor : (n, n) float64
        Cholesky factor (upper triangle, U'U) that the solver left, owned by the workspace.
    """

    terms: EvidenceTerms
    solved: Solved
    light_basis: LightBasis
    data_vector: np.ndarray
    tile_residual: np.ndarray
    geometry: MeshGeometry
    mapping: MappingMatrix
    blocks: TileBlocks
    prior: Prior
    factor: np.ndarray

    @property
    def precision(self) -> Precision:
        """H."""
        return self.prior.precision

    @property
    def coefficients(self) -> np.ndarray:
        """(n_source + n_light,) source pixels, then amplitudes of the light profiles."""
        return self.with_amplitudes(self.solved.coefficients)

    def with_amplitudes(self, coefficients: np.ndarray) -> np.ndarray:
        """Replace the light's coefficients in its basis, at the end of (n,), by the profiles' amplitudes."""
        source, light = np.split(coefficients, [self.precision.size])
        return np.concatenate([source, self.light_basis.amplitudes(light)])


class _MappedImage:
    """What one evaluation computed before the prior came in."""

    def __init__(
        self,
        inputs: InversionInputs,
        geometry: MeshGeometry,
        mapping: MappingMatrix,
        light_basis: LightBasis,
        blocks: TileBlocks,
        tile_data: np.ndarray,
    ) -> None:
        self.geometry, self.mapping, self.light_basis, self.blocks = geometry, mapping, light_basis, blocks
        self.tile_data = tile_data
        self.curvature: np.ndarray | None = None
        self._inputs = inputs

    def write_curvature(self, matrix: np.ndarray, workspace: Workspace) -> None:
        """Write F into the upper triangle of ``matrix`` (n, n), and keep D."""
        self.data_vector = np.empty(len(matrix))
        curvature(self.blocks, self.tile_data, matrix, self.data_vector, workspace)

    def is_of(self, inputs: InversionInputs) -> bool:
        return all(np.array_equal(getattr(self._inputs, name), part) for name, part in _image_parts(inputs))


def _image_parts(inputs: InversionInputs) -> list[tuple[str, np.ndarray]]:
    return [(name, part) for name, part in inputs._asdict().items() if name != "regularization"]


def _copied(inputs: InversionInputs, workspace: Workspace) -> InversionInputs:
    """Copy the image's part: the caller may write the next point into the same arrays."""
    copies = {name: workspace.array(f"last_{name}", *part.shape) for name, part in _image_parts(inputs)}
    for name, copy in copies.items():
        copy[...] = getattr(inputs, name)
    return inputs._replace(**copies)


class PixelizedInversion:
    """The static part of the likelihood: dataset, mesh, prior and everything that can be prepared from them.

    Immutable, hashable by content, picklable, and safe to call from several threads at once. Kernels run on
    one thread.

    Parameters
    ----------
    imaging : Imaging
    mesh : MeshScheme
    regularization : RegularizationScheme
    light_scales : sequence of float
        Prior standard deviation of each linear light column's amplitude.
    solver : Solver
    """

    def __init__(
        self,
        imaging: Imaging,
        mesh: MeshScheme,
        regularization: RegularizationScheme,
        light_scales: tuple[float, ...] = (),
        solver: Solver = SOLVERS[None],
    ) -> None:
        require_memory(
            "mesh", _MATRICES * 8 * mesh.n_source**2, f"the matrices of {mesh.n_source} source pixels",
            "Take fewer source pixels.",
        )  # fmt: skip
        self.imaging = imaging
        self.mesh = mesh
        self.regularization = regularization
        self.light_scales = tuple(float(scale) for scale in light_scales)
        self.solver = solver
        self.evaluations: Counter[str] = Counter()
        self._threads = threading.local()

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (
            self.imaging,
            self.mesh,
            self.regularization,
            self.light_scales,
            self.solver,
        )

    @cached_property
    def digest(self) -> str:
        """Hash of the content."""
        content = (
            self.imaging.digest,
            self.mesh.digest,
            repr(self.regularization),
            self.light_scales,
            repr(self.solver),
        )
        return sha256(repr(content).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PixelizedInversion) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    # --- static geometry

    @property
    def n_source(self) -> int:
        """Source pixels."""
        return self.mesh.n_source

    @property
    def n_light(self) -> int:
        """Linear light columns."""
        return len(self.light_scales)

    @property
    def jumps_at_flips(self) -> bool:
        """Whether the log evidence jumps where the triangulation flips."""
        return self.mesh.flips and (self.mesh.follows_edges or self.regularization.counts_neighbors)

    @property
    def jumps(self) -> bool:
        """Whether the log evidence jumps anywhere: at flips, or where rays pass between source pixels."""
        return self.jumps_at_flips or self.regularization.counts_rays

    @cached_property
    def _pixel_root_weights(self) -> np.ndarray:
        root_weights = np.zeros(self.imaging.plane.pixel_rows.size)
        root_weights[self.imaging.fitted] = 1.0 / self.imaging.noise_fitted
        return root_weights

    @cached_property
    def _tiles(self) -> Tiles:
        imaging = self.imaging
        return prepare_tiles(
            imaging.plane.pixel_rows,
            imaging.plane.pixel_cols,
            imaging.psf,
            imaging.psf_centre,
            self._pixel_root_weights > 0.0,
        )

    @cached_property
    def _tile_root_weights(self) -> np.ndarray:
        return self._tiles.gather(self._pixel_root_weights)

    @cached_property
    def _light_blur(self) -> LightBlur:
        grid = self.imaging.light_grid
        return prepare_light_blur(
            grid.frame_shape, grid.pixel_index, grid.mask_index, self.imaging.psf, self.imaging.psf_centre
        )

    @cached_property
    def _light_precision(self) -> np.ndarray:
        return np.array(self.light_scales) ** -2.0

    @cached_property
    def _noise_normalization(self) -> float:
        return float(np.log(2.0 * np.pi * self.imaging.noise_fitted**2).sum())

    @property
    def _workspace(self) -> Workspace:
        if not hasattr(self._threads, "workspace"):
            self._threads.workspace = Workspace()
            self._threads.last = None
            self._threads.solved = None
        return self._threads.workspace

    # --- evaluation

    @np.errstate(all="ignore")
    def invert(self, inputs: InversionInputs) -> Inversion:
        """Solve for the source and the light amplitudes.

        Parameters
        ----------
        inputs : InversionInputs

        Returns
        -------
        Inversion
            Parts of it live in this thread's workspace, until the next call.

        Raises
        ------
        InadmissibleError
            Where the likelihood is zero: rays that are not finite or leave the mesh, parameters outside their
            domain, light that no fitted pixel sees, a matrix that is not positive definite.
        """
        _require_finite(
            inputs,
            "non-finite {}",
            "{}: not finite. Check the mass, light and regularization parameters that it is made of.",
        )
        workspace = self._workspace
        n = self.n_source + self.n_light
        matrix = workspace.array("matrix", n, n)
        image = self._mapped_image(inputs, matrix)
        geometry, mapping, basis, blocks = image.geometry, image.mapping, image.light_basis, image.blocks
        prior = self.regularization.prior(inputs.regularization, geometry)
        precision = prior.precision
        log_det_regularization = precision.log_determinant + float(np.log(self._light_precision).sum())
        precision.add_to(matrix)
        matrix[self.n_source :, self.n_source :] += basis.precision
        solved = self.solver.solve(matrix, image.data_vector, precision, self._threads.solved, workspace)
        self._threads.solved, coefficients = solved, solved.coefficients
        residual = image.tile_data - model_image(blocks, coefficients)
        source, light = coefficients[: self.n_source], coefficients[self.n_source :]
        terms = EvidenceTerms(
            chi_squared=float((residual**2).sum()),
            regularization_term=precision.quadratic_form(source) + float(light @ basis.precision @ light),
            log_det_curvature_reg=2.0 * (float(np.log(matrix.diagonal()).sum()) + basis.log_det_triangle),
            log_det_regularization=log_det_regularization,
            noise_normalization=self._noise_normalization,
            log_positivity=solved.log_positivity,
        )
        if not np.isfinite(terms.log_evidence):
            raise InadmissibleError(
                "non-finite evidence",
                "A term of the log evidence is beyond what numbers hold: the parameters are extreme.",
            )
        return Inversion(
            terms, solved, basis, image.data_vector, residual, geometry, mapping, blocks, prior, matrix
        )

    @np.errstate(all="ignore")
    def gradient(self, inputs: InversionInputs, inversion: Inversion) -> InversionInputs:
        """Gradient of the log evidence in all inputs; consumes the inversion's factor.

        Nothing confined, with ``A = F + H``: ``dlnE/dF = -(A^-1 + ss')/2``, ``dlnE/dD = s`` and
        ``dlnE/dH = dlnE/dF + H^-1 / 2``. Otherwise the solver's moments take their places.

        Parameters
        ----------
        inputs : InversionInputs
        inversion : Inversion
            Result of `invert` at these inputs.

        Raises
        ------
        InadmissibleError
            Where a derivative is beyond what numbers hold.
        """
        solved = inversion.solved
        mean, covariance, moments = self.solver.moments(solved, inversion.factor, inversion.precision)
        residual = inversion.tile_residual
        if mean is not solved.coefficients:  # a confined posterior's mean is not where the terms are taken
            residual = residual - model_image(inversion.blocks, mean - solved.coefficients)
        parameters_bar, geometry_bar = inversion.prior.pullback(
            inversion.precision.evidence_cotangent(covariance, mean[: self.n_source], moments)
        )
        mapping_bar, light_bar = tile_pullback(
            self._tiles, inversion.blocks, inversion.mapping, self.n_light, self._tile_root_weights,
            residual, mean, covariance, self._workspace,
        )  # fmt: skip
        weights_bar = mapping_matrix_pullback(
            inversion.mapping, inversion.geometry.interpolation, mapping_bar
        )
        if geometry_bar.weights is not None:
            weights_bar += geometry_bar.weights
        rays_bar, traced_vertices_bar = inversion.geometry.pullback(weights_bar, geometry_bar)
        gradient = InversionInputs(
            data=-self._fitted(residual) / self.imaging.noise_fitted,
            rays=rays_bar,
            vertices=traced_vertices_bar,
            light=self._light_blur.pullback(inversion.light_basis.columns_pullback(light_bar)),
            regularization=parameters_bar,
        )
        _require_finite(
            gradient,
            "non-finite derivative in {}",
            "{}: the derivative of the evidence is beyond what numbers hold. The parameters are extreme.",
        )
        return gradient

    def log_evidence(self, inputs: InversionInputs) -> float:
        """Log evidence; -inf at inadmissible points, which are counted in `evaluations`."""
        self.evaluations["value"] += 1
        try:
            return self.invert(inputs).terms.log_evidence
        except InadmissibleError as error:
            self._count(error)
            return -np.inf

    def log_evidence_and_gradient(self, inputs: InversionInputs) -> tuple[float, InversionInputs]:
        """Log evidence and its gradient; -inf and zeros at inadmissible points."""
        self.evaluations["value and gradient"] += 1
        try:
            inversion = self.invert(inputs)
            return inversion.terms.log_evidence, self.gradient(inputs, inversion)
        except InadmissibleError as error:
            self._count(error)
            return -np.inf, InversionInputs(*(np.zeros(part.shape) for part in inputs))

    # --- pictures of a solution

    def model_image(self, inversion: Inversion, coefficients: np.ndarray) -> np.ndarray:
        """Blurred model (n_fitted,) of source pixels and light amplitudes (n,), mapped as in an inversion."""
        source, amplitudes = np.split(coefficients, [self.n_source])
        in_basis = np.concatenate([source, inversion.light_basis.coefficients(amplitudes)])
        return self._fitted(model_image(inversion.blocks, in_basis)) * self.imaging.noise_fitted

    def light_image(self, inversion: Inversion, coefficients: np.ndarray) -> np.ndarray:
        """Blurred image (n_fitted,) of the light alone, of source pixels and light amplitudes (n,)."""
        light = coefficients.copy()
        light[: self.n_source] = 0.0
        return self.model_image(inversion, light)

    def detected_rays(self, inputs: InversionInputs, lensed_source: np.ndarray) -> np.ndarray:
        """Source-plane (y, x) of the rays (n, 2) in whose pixels the source is seen.

        Those are the pixels where it is neither fainter than the noise allows to see nor than a small part of
        the brightest; all, where there are none.

        Parameters
        ----------
        inputs : InversionInputs
        lensed_source : (n_fitted,) float64
            Blurred image of the source alone.
        """
        faintest = np.maximum(_SIGNIFICANT * self.imaging.noise_fitted, _FAINT * lensed_source.max())
        seen = self.imaging.fitted[lensed_source > faintest]
        rays = inputs.rays.reshape(self.imaging.plane.n_pixels, -1, 2)
        return (rays[seen] if seen.size else rays).reshape(-1, 2)

    def draw_coefficients(self, inversion: Inversion, rng: np.random.Generator) -> np.ndarray:
        """Draw source pixels and light amplitudes (n,) from their posterior at the inversion's parameters.

        It is Gaussian, N(s, (F + H)^-1), and where negative coefficients are excluded the part of it that is
        left.
        """
        drawn = self.solver.draw(inversion.solved, inversion.factor, inversion.data_vector, rng)
        return inversion.with_amplitudes(drawn)

    def draw_prior_image(self, inputs: InversionInputs, rng: np.random.Generator) -> np.ndarray:
        """Draw an image (n_fitted,) of a source and light from their priors, with noise.

        Raises
        ------
        InadmissibleError
            As `invert`.
        """
        inversion = self.invert(inputs)
        source = self.solver.draw_source(inversion.precision, rng)
        amplitudes = self.solver.draw_amplitudes(np.array(self.light_scales), rng)
        image = self.model_image(inversion, np.concatenate([source, amplitudes]))
        return image + rng.standard_normal(image.size) * self.imaging.noise_fitted

    # --- helpers

    def _mapped_image(self, inputs: InversionInputs, matrix: np.ndarray) -> _MappedImage:
        """Everything before the prior; writes F into the upper triangle of ``matrix`` (n, n).

        A second evaluation in a row that differs in the parameters of the prior alone keeps F for the next.
        """
        workspace, last = self._workspace, self._threads.last
        if last is not None and last.is_of(inputs):
            if last.curvature is None:
                last.write_curvature(matrix, workspace)
                last.curvature = matrix.copy()
            else:
                matrix[:] = last.curvature
            return last
        self._threads.last = None
        inputs = _copied(inputs, workspace)
        geometry = self.mesh.geometry(inputs.rays, inputs.vertices, workspace)
        mapping = mapping_matrix(geometry.interpolation, self._tiles.n_pixels)
        basis = self._light_basis(inputs.light)
        blocks = tile_blocks(
            self._tiles, mapping, basis.columns, self._tile_root_weights, self.n_source, workspace
        )
        image = _MappedImage(inputs, geometry, mapping, basis, blocks, self._tile_data(inputs.data))
        image.write_curvature(matrix, workspace)
        self._threads.last = image
        return image

    def _light_basis(self, light: np.ndarray) -> LightBasis:
        blurred = self._light_blur.blur(light)
        self._require_seen(blurred)
        if self.solver.confines_amplitudes:
            return profile_basis(blurred, self._light_precision)
        return orthonormal_basis(blurred, self._pixel_root_weights, self._light_precision)

    def _require_seen(self, light: np.ndarray) -> None:
        """Refuse columns (n_light, n_pixels) whose amplitude no pixel knows anything of."""
        whitened = np.sqrt((light**2) @ self._pixel_root_weights**2)
        dark = np.flatnonzero(whitened * self.light_scales < _DARK)
        if dark.size:
            raise InadmissibleError(
                "light without light",
                f"light: columns {dark.tolist()} of {self.n_light} shine on no fitted pixel, so that their "
                "amplitudes are unknown. Their centre lies far off or in a hole of the mask: change it, or "
                "leave them out.",
            )

    def _tile_data(self, data: np.ndarray) -> np.ndarray:
        values = np.zeros(self._tiles.n_pixels)
        values[self.imaging.fitted] = data
        return self._tiles.gather(values) * self._tile_root_weights

    def _fitted(self, tile_values: np.ndarray) -> np.ndarray:
        values = np.empty(self._tiles.n_pixels + 1)
        values[self._tiles.pixels] = tile_values
        return values[self.imaging.fitted]

    def _count(self, error: InadmissibleError) -> None:
        if not self.evaluations[error.reason]:
            _log.debug("Inadmissible point: %s", error)
        self.evaluations[error.reason] += 1
