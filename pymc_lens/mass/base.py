"""The contract of a mass profile."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, override

import pytensor
import pytensor.tensor as pt
from pytensor.graph.traversal import toposort
from pytensor.tensor.variable import TensorVariable

from pymc_lens.quadrature import gauss_legendre
from pymc_lens.symbolic import (
    Bounded,
    called,
    expression,
    join_positions,
    may_be_equal,
    nan_unless,
    split_positions,
)
from pymc_lens.validation import require_instance

_POTENTIAL_NODES = 24
# Operations: a recursion of 4,000 compiles for 4 s, one of 90,000 for 20 s, one of 350,000 for 60 s.
_MUCH_TO_COMPILE = 50_000.0


class Hessian(NamedTuple):
    """Second derivatives of the lensing potential.

    Attributes
    ----------
    yy, xy, xx : TensorVariable (...)
    """

    yy: TensorVariable
    xy: TensorVariable
    xx: TensorVariable

    @property
    def convergence(self) -> TensorVariable:
        """Half the trace."""
        return 0.5 * (self.yy + self.xx)

    @property
    def magnification(self) -> TensorVariable:
        """One over the determinant of the Jacobian of the lens mapping."""
        return 1.0 / ((1.0 - self.yy) * (1.0 - self.xx) - self.xy**2)


class MassProfile(Bounded):
    """A distribution of mass in one lens plane, in units of the critical surface density.

    A subclass gives its parameters' `domains`, and `deflections_yx` or `potential_yx` (or both); what it does
    not give is differentiated from them by PyTensor. Positions are arcsec. Parameters may be numbers or
    random variables. Profiles add:
    ``Isothermal(...) + ExternalShear(...)``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.deflections_yx is MassProfile.deflections_yx and cls.potential_yx is MassProfile.potential_yx:
            raise TypeError(f"{cls.__name__}: a mass profile defines deflections_yx or potential_yx.")

    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        """Lensing potential.

        Parameters
        ----------
        y, x : (...) TensorVariable
            Positions, arcsec.

        Returns
        -------
        (...) TensorVariable
            Arcsec^2.

        Raises
        ------
        NotImplementedError
            If the profile is known by its deflections only.
        """
        raise NotImplementedError(f"{type(self).__name__} has no potential; define potential_yx.")

    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        """Deflection angles.

        Parameters
        ----------
        y, x : (...) TensorVariable
            Positions, arcsec.

        Returns
        -------
        alpha_y, alpha_x : (...) TensorVariable
            Arcsec.

        Raises
        ------
        NotImplementedError
            If neither they nor the potential are defined.
        """
        alpha_y, alpha_x = _gradient(self.potential_yx, y, x)
        # The derivative of what is NaN outside a domain would be zero there: no lens at all.
        known = ~pt.isnan(self.potential_yx(y, x))
        return nan_unless(known, alpha_y), nan_unless(known, alpha_x)

    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        """Second derivatives of the potential.

        Parameters
        ----------
        y, x : (...) TensorVariable
            Positions, arcsec.

        Returns
        -------
        Hessian
            Three TensorVariables (...).
        """
        yy, xy = _gradient(lambda y, x: self.deflections_yx(y, x)[0], y, x)
        xx = _gradient(lambda y, x: self.deflections_yx(y, x)[1], y, x)[1]
        return Hessian(yy, xy, xx)

    def deflections(self, grid: Any) -> TensorVariable:
        """Deflection angles in arcsec.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            Positions (y, x), arcsec.

        Returns
        -------
        (..., 2) TensorVariable
            (alpha_y, alpha_x).

        Raises
        ------
        TypeError
            If the grid holds no real numbers.
        ValueError
            If its last axis has not length two.
        """
        return join_positions(*self.deflections_yx(*split_positions(grid)))

    def potential(self, grid: Any) -> TensorVariable:
        """Lensing potential, whose gradient is the deflection.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            Positions (y, x), arcsec.

        Returns
        -------
        (...) TensorVariable
            Arcsec^2.

        Raises
        ------
        NotImplementedError
            If the profile is known by its deflections only.
        TypeError
            If the grid holds no real numbers.
        ValueError
            If its last axis has not length two.
        """
        return self.potential_yx(*split_positions(grid))

    def convergence(self, grid: Any) -> TensorVariable:
        """Surface density over the critical one.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            Positions (y, x), arcsec.

        Returns
        -------
        (...) TensorVariable

        Raises
        ------
        TypeError
            If the grid holds no real numbers.
        ValueError
            If its last axis has not length two.
        """
        return self.hessian_yx(*split_positions(grid)).convergence

    def magnification(self, grid: Any) -> TensorVariable:
        """Signed magnification; negative where the image is mirrored.

        Parameters
        ----------
        grid : (..., 2) array or tensor
            Positions (y, x), arcsec.

        Returns
        -------
        (...) TensorVariable

        Raises
        ------
        TypeError
            If the grid holds no real numbers.
        ValueError
            If its last axis has not length two.
        """
        return self.hessian_yx(*split_positions(grid)).magnification

    def __add__(self, other: object) -> MassSum:
        if not isinstance(other, MassProfile):
            return NotImplemented
        return MassSum((*_parts(self), *_parts(other)))


@dataclass(frozen=True, eq=False)
class MassSum(MassProfile):
    """The sum of several profiles in one lens plane.

    Parameters
    ----------
    profiles : tuple of MassProfile

    Raises
    ------
    TypeError
        If one of them is something else.
    ValueError
        If there is none.
    """

    profiles: tuple[MassProfile, ...]

    def __post_init__(self) -> None:
        require_instance("profiles", self.profiles, tuple)
        for profile in self.profiles:
            require_instance("profiles", profile, MassProfile)
        if not self.profiles:
            raise ValueError("profiles: expected at least one mass profile, got none.")

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        return sum(profile.potential_yx(y, x) for profile in self.profiles)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        alphas = [profile.deflections_yx(y, x) for profile in self.profiles]
        return sum(alpha_y for alpha_y, _ in alphas), sum(alpha_x for _, alpha_x in alphas)

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        hessians = [profile.hessian_yx(y, x) for profile in self.profiles]
        return Hessian(*(sum(elements) for elements in zip(*hessians, strict=True)))


@dataclass(frozen=True, eq=False)
class FromPotential(MassProfile):
    """A profile from a function for its lensing potential.

    Parameters
    ----------
    function : callable
        ``function(y, x)`` returns the potential (...) in arcsec^2 as a PyTensor expression, elementwise in y
        and x (arcsec, each (...)). Parameters are whatever the function closes over.

    Raises
    ------
    TypeError
        If the function fails on PyTensor variables, as functions of NumPy do, or does not return one.
    ValueError
        If what it returns has another shape than y.

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> kappa = pt.dscalar("kappa")
    >>> sheet = FromPotential(lambda y, x: 0.5 * kappa * (y**2 + x**2))
    >>> sheet.deflections([[1.0, 2.0]]).eval({kappa: 0.1})
    array([[0.1, 0.2]])
    """

    function: Callable[[TensorVariable, TensorVariable], Any]

    def __post_init__(self) -> None:
        _require_callable(self.function)
        self.potential_yx(*_TRIAL)

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        return _elementwise("function", "the potential", called("function", self.function, y, x), y)


@dataclass(frozen=True, eq=False)
class FromDeflections(MassProfile):
    """A profile from a function for its deflection angles.

    Parameters
    ----------
    function : callable
        ``function(y, x)`` returns (alpha_y, alpha_x) in arcsec as PyTensor expressions, elementwise in y and
        x (arcsec, each (...)). Parameters are whatever the function closes over.

    Raises
    ------
    TypeError
        If the function fails on PyTensor variables, as functions of NumPy do, or does not return them.
    ValueError
        If it does not return two, or one has another shape than y.
    """

    function: Callable[[TensorVariable, TensorVariable], tuple[Any, Any]]

    def __post_init__(self) -> None:
        _require_callable(self.function)
        self.deflections_yx(*_TRIAL)

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        return _pair("function", called("function", self.function, y, x), y)


class WithoutPotential(MassProfile):
    """A profile known by its deflections, whose potential is their integral along a ray from its centre."""

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        """See `MassProfile`; zero at the centre.

        Deflections may be as singular there as those of a halo, whose convergence has a logarithm: the square
        of a variable takes it away, and leaves an error of 1e-10 of the potential.
        """
        _, centre_y, centre_x, *_ = self.inside_the_domain()
        root, weights = gauss_legendre(_POTENTIAL_NODES)
        y, x = (y - centre_y)[..., None], (x - centre_x)[..., None]
        alpha_y, alpha_x = self.deflections_yx(centre_y + root**2 * y, centre_x + root**2 * x)
        return ((y * alpha_y + x * alpha_x) * (2.0 * weights * root)).sum(axis=-1)


def _parts(profile: MassProfile) -> tuple[MassProfile, ...]:
    return profile.profiles if isinstance(profile, MassSum) else (profile,)


def _require_callable(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"function: expected a function of (y, x), got {function!r}.")


def require_deflections(profile: MassProfile) -> None:
    """Try a profile, which may be a user's class, on variables.

    Raises
    ------
    TypeError
        If it fails on them, or does not return expressions of PyTensor.
    ValueError
        If it does not return two of them, elementwise in y and x.
    """
    for part in _parts(profile):
        name = f"{type(part).__name__}.deflections_yx"
        alphas = _pair(name, called(name, part.deflections_yx, *_TRIAL), _TRIAL[0])
        if _expanded_size(alphas) > _MUCH_TO_COMPILE:
            warnings.warn(
                f"{name}: it uses its own results so often, as recursions in a loop do, that compiling its "
                "gradient takes from many seconds to forever. Write the recursion as a formula of a RayOp, "
                "with `repeat`: docs/extending.md, 'A mass profile'.",
                stacklevel=4,
            )


# What a user's function is tried on. Hardly will an array of the user's own have this length.
_TRIAL = tuple(pt.tensor(name, dtype="float64", shape=(7919,)) for name in "yx")


def _expanded_size(outputs: tuple[TensorVariable, ...]) -> float:
    """Return the number of operations of a graph were none of its results used twice, as fusion has it."""
    sizes: dict[Any, float] = {}
    for node in toposort(outputs):
        # Scalars are not fused with what is made of them for every ray.
        parts = (part.owner for part in node.inputs if part.owner is not None and part.type.ndim)
        sizes[node] = 1.0 + sum(sizes[part] for part in parts)
    return sum(sizes[output.owner] for output in outputs if output.owner is not None)


def _pair(name: str, alphas: Any, like: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
    """Return the deflection angles that a user's function or method of that name gives."""
    if not isinstance(alphas, (tuple, list)) or len(alphas) != 2:
        raise ValueError(f"{name}: expected it to return a pair (alpha_y, alpha_x), got {alphas!r}.")
    return _elementwise(name, "alpha_y", alphas[0], like), _elementwise(name, "alpha_x", alphas[1], like)


def _elementwise(name: str, what: str, value: Any, like: TensorVariable) -> TensorVariable:
    """Return what a function gives at every position; a constant counts for all of them."""
    variable = expression(f"{name}: {what}", value)
    if variable.type.ndim == 0:
        return variable + pt.zeros_like(like)
    got, wanted = variable.type.shape, like.type.shape
    if not may_be_equal(got, wanted):
        raise ValueError(
            f"{name}: expected {what} elementwise in y and x, of shape {wanted} here, got shape {got}."
        )
    return variable


def _gradient(
    function: Callable[[TensorVariable, TensorVariable], TensorVariable], y: TensorVariable, x: TensorVariable
) -> list[TensorVariable]:
    """Differentiate an elementwise function of y and x in both.

    Each element depends on its own position only, so the gradient of the sum holds every derivative.
    """
    # Copies: only the function's own use of the positions counts, whatever else in the graph they feed.
    y, x = pt.as_tensor_variable(y).copy(), pt.as_tensor_variable(x).copy()
    total = pt.sum(function(y, x))
    return pytensor.grad(total, [y, x], disconnected_inputs="ignore", return_disconnected="zero")
