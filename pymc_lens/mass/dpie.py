"""The dual pseudo-isothermal ellipsoid: the difference of two isothermal ellipsoids with cores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, override

from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.mass.isothermal_core import Ellipsoid
from pymc_lens.symbolic import NOT_NEGATIVE, PLANE, elliptical, nan_unless, scalar
from pymc_lens.validation import is_symbolic


@dataclass(frozen=True, eq=False)
class dPIEMass(MassProfile):
    """Dual pseudo-isothermal ellipsoid, of galaxies and subhaloes that are truncated.

    ``kappa = b0 / 2 * rs / (rs - ra) * (1 / sqrt(ra^2 + R^2) - 1 / sqrt(rs^2 + R^2))`` with
    ``R^2 = x^2 / (1 + e)^2 + y^2 / (1 - e)^2`` in the major-axis frame, ``e = |ell_comps|``: Elíasdóttir et
    al. 2007 (arXiv:0710.5636) with the ellipticity of Kassiola & Kovner 1993 (ApJ 417, 450), as in Lenstool
    and in PyAutoLens (``dPIEMassB0`` in its newest versions). Smooth through the circular case.

    Parameters
    ----------
    centre : (y, x)
        Arcsec.
    ell_comps : (e_y, e_x)
        ``(1 - q) / (1 + q) * (sin 2 phi, cos 2 phi)``, axis ratio q, angle phi counter-clockwise from +x.
    ra, rs : float
        Radii of the core and of the truncation, ``0 <= ra < rs``, arcsec.
    b0 : float
        Arcsec; the Einstein radius where it is round, without core or truncation.

    Raises
    ------
    TypeError
        If an argument is of another kind: text, a boolean, a Quantity.
    ValueError
        For numbers: radii that are not ``0 <= ra < rs``, a negative or non-finite ``b0``,
        ``|ell_comps| >= 1``, a centre that is not finite. Random variables outside these domains give NaN.
    """

    domains: ClassVar = {
        "centre": PLANE,
        "ell_comps": elliptical(),
        "ra": NOT_NEGATIVE,
        "rs": NOT_NEGATIVE._replace(instead=(1.0,)),
        "b0": NOT_NEGATIVE,
    }

    centre: Any = (0.0, 0.0)
    ell_comps: Any = (0.0, 0.0)
    ra: Any = 0.1
    rs: Any = 2.0
    b0: Any = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        ra, rs = scalar("ra", self.ra), scalar("rs", self.rs)
        if not (is_symbolic(ra) or is_symbolic(rs) or ra < rs):
            raise ValueError(f"ra: expected less than rs, got ra {ra} and rs {rs}.")

    @override
    def potential_yx(self, y: TensorVariable, x: TensorVariable) -> TensorVariable:
        admissible, inner, outer = self._ellipsoids()
        return nan_unless(admissible, inner.potential(y, x) - outer.potential(y, x))

    @override
    def deflections_yx(self, y: TensorVariable, x: TensorVariable) -> tuple[TensorVariable, TensorVariable]:
        admissible, *ellipsoids = self._ellipsoids()
        pairs = zip(*(ellipsoid.deflections(y, x) for ellipsoid in ellipsoids), strict=True)
        alpha_y, alpha_x = (nan_unless(admissible, inner - outer) for inner, outer in pairs)
        return alpha_y, alpha_x

    @override
    def hessian_yx(self, y: TensorVariable, x: TensorVariable) -> Hessian:
        admissible, *ellipsoids = self._ellipsoids()
        pairs = zip(*(ellipsoid.hessian(y, x) for ellipsoid in ellipsoids), strict=True)
        return Hessian(*(nan_unless(admissible, inner - outer) for inner, outer in pairs))

    def _ellipsoids(self) -> tuple[TensorVariable, Ellipsoid, Ellipsoid]:
        """Whether the parameters are admissible, and ellipsoids of parameters that are."""
        admissible, centre_y, centre_x, e_y, e_x, ra, rs, b0 = self.inside_the_domain(
            scalar("rs", self.rs) > scalar("ra", self.ra)
        )
        area = 1.0 - e_y * e_y - e_x * e_x
        shape = (centre_y, centre_x, e_y, e_x, area * b0 * rs / (rs - ra))
        return admissible, Ellipsoid(*shape, area * ra), Ellipsoid(*shape, area * rs)
