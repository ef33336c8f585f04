from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from astropy.cosmology import FlatLambdaCDM, LambdaCDM, Planck15
from lenstronomy.Cosmo.lens_cosmo import LensCosmo
from lenstronomy.LensModel.lens_model import LensModel
from pytensor.compile.mode import Mode

from pymc_lens.convert import isothermal_to_lenstronomy
from pymc_lens.cosmology import FlatWCDM, ScalingFactors
from pymc_lens.galaxy import Galaxy, Pixelization
from pymc_lens.light import MultiGaussian
from pymc_lens.mass import ExternalShear, Isothermal, MassSheet, PointMass
from pymc_lens.mesh import RectangularBox
from pymc_lens.parts import parts_of
from pymc_lens.regularization import Constant
from pymc_lens.tracer import Tracer

ONCE = Mode("py", None)
COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3)
PIXELIZATION = Pixelization(RectangularBox((5, 5), (-2.0, 2.0, -2.0, 2.0)), Constant(1.0))
NEAR = Isothermal((0.05, -0.1), (0.1, -0.2), 1.2)
FAR = Isothermal((-0.2, 0.15), (-0.05, 0.1), 0.3)
NEAR_KWARGS = isothermal_to_lenstronomy(1.2, (0.1, -0.2), (0.05, -0.1))
FAR_KWARGS = isothermal_to_lenstronomy(0.3, (-0.05, 0.1), (-0.2, 0.15))


def number(variable: Any) -> np.ndarray:
    return variable.eval(mode=ONCE)


@pytest.fixture
def grid(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-2.0, 2.0, (30, 2))


def two_planes() -> Tracer:
    """Two lens planes and a farther galaxy, given out of order."""
    galaxies = [Galaxy(2.0), Galaxy(0.5, mass=NEAR + ExternalShear(0.03, -0.05)), Galaxy(1.0, mass=FAR)]
    return Tracer(galaxies, cosmology=COSMOLOGY)


def lenstronomy_two_planes(z_source: float = 2.0) -> tuple[LensModel, list[dict[str, float]]]:
    model = LensModel(
        ["SIE", "SHEAR", "SIE"],
        lens_redshift_list=[0.5, 0.5, 1.0],
        z_source=z_source,
        z_source_convention=2.0,
        multi_plane=True,
        cosmo=COSMOLOGY,
    )
    return model, [NEAR_KWARGS, {"gamma1": 0.03, "gamma2": -0.05}, FAR_KWARGS]


class TestSinglePlane:
    tracer = Tracer([Galaxy(0.5, mass=NEAR + ExternalShear(0.03, -0.05)), Galaxy(1.0)])

    def test_rays(self, grid: np.ndarray) -> None:
        expected = grid - number((NEAR + ExternalShear(0.03, -0.05)).deflections(grid))
        np.testing.assert_allclose(number(self.tracer.traced_grid(grid)), expected, rtol=1e-12, atol=1e-14)

    def test_golden_rays(self, golden: Any) -> None:
        tracer = Tracer(
            [Galaxy(0.5, mass=Isothermal((0.0, 0.0), (0.17647058823529413, 0.0), 1.2)), Galaxy(1.0)]
        )
        traced = number(tracer.traced_grid(golden("dataset_slim.npz")["grid_slim_yx"]))
        np.testing.assert_allclose(traced, golden("traced.npz")["traced_slim_yx"], rtol=0.0, atol=1e-10)

    @pytest.mark.parametrize("what", ["convergence", "magnification", "potential"])
    def test_fields_are_those_of_the_mass(self, what: str, grid: np.ndarray) -> None:
        expected = number(getattr(NEAR + ExternalShear(0.03, -0.05), what)(grid))
        np.testing.assert_allclose(number(getattr(self.tracer, what)(grid)), expected, rtol=1e-10, atol=1e-13)

    def test_masses_of_one_redshift_are_one_plane(self, grid: np.ndarray) -> None:
        apart = Tracer([Galaxy(0.5, mass=NEAR), Galaxy(0.5, mass=ExternalShear(0.03, -0.05)), Galaxy(1.0)])
        np.testing.assert_allclose(
            number(apart.traced_grid(grid)), number(self.tracer.traced_grid(grid)), rtol=1e-13
        )

    def test_in_the_lens_plane_and_before_nothing_is_deflected(self, grid: np.ndarray) -> None:
        assert np.array_equal(number(self.tracer.traced_grid(grid, redshift=0.5)), grid)
        assert np.array_equal(number(self.tracer.traced_grid(grid, redshift=0.2)), grid)
        assert np.array_equal(number(self.tracer.magnification(grid, redshift=0.5)), np.ones(len(grid)))

    def test_no_mass_at_all(self, grid: np.ndarray) -> None:
        assert np.array_equal(
            number(Tracer([Galaxy(1.0, pixelization=PIXELIZATION)]).traced_grid(grid)), grid
        )

    @pytest.mark.parametrize("shape", [(2,), (3, 4, 2)])
    def test_leading_axes_are_kept(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        grid = rng.uniform(0.3, 1.0, shape)
        flat = number(self.tracer.traced_grid(grid.reshape(-1, 2)))
        assert np.array_equal(number(self.tracer.traced_grid(grid)), flat.reshape(shape))
        assert number(self.tracer.magnification(grid)).shape == shape[:-1]


@pytest.mark.filterwarnings("ignore:Cosmology is provided", "ignore:Use ``angular_diameter_distance")
class TestSeveralPlanes:
    # lenstronomy softens its SIE by 1e-10 arcsec.
    def test_rays(self, grid: np.ndarray) -> None:
        model, kwargs = lenstronomy_two_planes()
        x, y = model.ray_shooting(grid[:, 1], grid[:, 0], kwargs)
        np.testing.assert_allclose(
            number(two_planes().traced_grid(grid)), np.stack([y, x], axis=-1), rtol=0.0, atol=1e-8
        )

    @pytest.mark.parametrize("redshift", [0.8, 1.0, 1.5])
    def test_rays_to_a_nearer_plane(self, redshift: float, grid: np.ndarray) -> None:
        model, kwargs = lenstronomy_two_planes(z_source=redshift)
        x, y = model.ray_shooting(grid[:, 1], grid[:, 0], kwargs)
        traced = number(two_planes().traced_grid(grid, redshift=redshift))
        np.testing.assert_allclose(traced, np.stack([y, x], axis=-1), rtol=0.0, atol=1e-8)

    def test_the_pixelized_galaxy_decides_the_default(self, grid: np.ndarray) -> None:
        galaxies = [Galaxy(0.5, mass=NEAR), Galaxy(1.0, pixelization=PIXELIZATION), Galaxy(2.0)]
        tracer = Tracer(galaxies, cosmology=COSMOLOGY)
        assert tracer.source_redshift == 1.0
        expected = number(tracer.traced_grid(grid, redshift=1.0))
        assert np.array_equal(number(tracer.traced_grid(grid)), expected)
        assert not np.allclose(expected, number(tracer.traced_grid(grid, redshift=2.0)))

    @pytest.mark.parametrize("redshift", [None, 1.5])
    def test_magnification_and_convergence_against_differences(
        self, redshift: float | None, grid: np.ndarray
    ) -> None:
        tracer, h = two_planes(), 1e-5
        jacobian = np.empty((len(grid), 2, 2))
        for axis, step in enumerate(h * np.eye(2)):
            ahead, behind = (number(tracer.traced_grid(grid + s * step, redshift)) for s in (1.0, -1.0))
            jacobian[:, :, axis] = (ahead - behind) / (2.0 * h)
        np.testing.assert_allclose(
            1.0 / number(tracer.magnification(grid, redshift)), np.linalg.det(jacobian), rtol=0.0, atol=1e-6
        )
        np.testing.assert_allclose(
            number(tracer.convergence(grid, redshift)),
            1.0 - 0.5 * np.trace(jacobian, axis1=1, axis2=2),
            rtol=0.0,
            atol=1e-6,
        )

    def test_the_potential_of_one_plane_is_scaled(self, grid: np.ndarray) -> None:
        tracer = Tracer([Galaxy(0.5, mass=NEAR), Galaxy(1.0), Galaxy(2.0)])
        positions = pt.dmatrix("positions")
        slope = pytensor.grad(tracer.potential(positions, redshift=1.0).sum(), positions)
        np.testing.assert_allclose(
            slope.eval({positions: grid}, mode=ONCE),
            grid - number(tracer.traced_grid(grid, redshift=1.0)),
            rtol=1e-10,
        )

    def test_several_planes_have_no_potential(self, grid: np.ndarray) -> None:
        with pytest.raises(ValueError, match="exactly one plane with mass, there are 2"):
            two_planes().potential(grid)

    @pytest.mark.parametrize("dark_energy", [0.7, 0.2, 1.1], ids=["flat", "open", "closed"])
    def test_distances_are_those_of_astropy(self, dark_energy: float) -> None:
        cosmology = LambdaCDM(H0=70.0, Om0=0.3, Ode0=dark_energy)
        tracer = Tracer([Galaxy(0.5, mass=MassSheet((0.0, 0.0), 0.4)), Galaxy(2.0)], cosmology=cosmology)
        distance = cosmology.angular_diameter_distance
        # Distances between planes from those to the observer: Hogg 1999, eq. 19.
        curvature, hubble = cosmology.Ok0, cosmology.hubble_distance
        m = {z: (1.0 + z) * distance(z) for z in (0.5, 1.0, 2.0)}

        def between(z: float) -> Any:
            root = {k: np.sqrt(1.0 + curvature * (m[k] / hubble) ** 2) for k in (0.5, z)}
            return (m[z] * root[0.5] - m[0.5] * root[z]) / (1.0 + z)

        scale = float(between(1.0) * distance(2.0) / (distance(1.0) * between(2.0)))
        traced = number(tracer.traced_grid([[0.0, 1.0]], redshift=1.0))
        np.testing.assert_allclose(traced, [[0.0, 1.0 - 0.4 * scale]], rtol=1e-9)

    def test_the_cosmology_is_read(self, grid: np.ndarray) -> None:
        planes = two_planes()
        other = Tracer(planes.galaxies, cosmology=FlatLambdaCDM(H0=70.0, Om0=0.9))
        assert not np.allclose(number(other.traced_grid(grid)), number(planes.traced_grid(grid)), atol=1e-4)
        assert Tracer(planes.galaxies).cosmology is Planck15

    def test_gradient_through_two_planes(self, rng: np.random.Generator) -> None:
        # The far plane is deflected to where the near one sends the rays: positions carry gradients too.
        values = pt.dvector("values")
        near = Isothermal(values[:2], values[2:4], values[4])
        far = Isothermal(values[5:7], values[7:9], values[9])
        tracer = Tracer([Galaxy(0.5, mass=near), Galaxy(1.0, mass=far), Galaxy(2.0)], cosmology=COSMOLOGY)
        weights, grid = rng.normal(size=(10, 2)), rng.uniform(0.5, 2.0, (10, 2))
        total = (weights * tracer.traced_grid(grid)).sum()
        value = pytensor.function([values], total, mode=ONCE)
        gradient = pytensor.function([values], pytensor.grad(total, values), mode=ONCE)
        at = np.array([0.05, -0.1, 0.1, -0.2, 1.2, -0.2, 0.15, -0.05, 0.1, 0.3])
        for direction in rng.normal(size=(3, at.size)):
            first, second = (
                (value(at + h * direction) - value(at - h * direction)) / (2.0 * h) for h in (1e-4, 5e-5)
            )
            np.testing.assert_allclose(gradient(at) @ direction, (4.0 * second - first) / 3.0, rtol=1e-7)


class TestLights:
    lens = MultiGaussian((0.0, 0.0), (0.1, 0.0), [0.2, 0.5])
    second = MultiGaussian((0.1, 0.0), (0.0, 0.0), [0.3])
    source = MultiGaussian((0.05, 0.02), (0.0, 0.0), [0.1], intensity_scale=2.0)

    def test_sums_are_taken_apart_nearest_first(self) -> None:
        tracer = Tracer([Galaxy(1.0), Galaxy(0.5, mass=NEAR, light=self.lens + self.second)])
        (part,) = parts_of(tracer)
        assert (part.name, part.light.parts) == ("lens_light", (self.lens, self.second))

    def test_light_behind_a_lens_is_lensed(self, grid: np.ndarray) -> None:
        tracer = Tracer([Galaxy(0.5, mass=NEAR, light=self.lens), Galaxy(1.0, light=self.source)])
        front, behind = parts_of(tracer)
        assert (front.name, front.light) == ("lens_light", self.lens)
        assert (behind.name, behind.light, behind.redshift) == ("source_light", self.source, 1.0)

    def test_no_light(self) -> None:
        assert parts_of(two_planes()) == []


class TestErrors:
    @pytest.mark.parametrize(
        ("galaxies", "message"),
        [
            ([], "at least one galaxy"),
            ([Galaxy(0.5, mass=NEAR)], "is not behind it"),
            ([Galaxy(1.0, mass=NEAR), Galaxy(0.5, pixelization=PIXELIZATION)], "is not behind it"),
            ([Galaxy(0.5, mass=NEAR, pixelization=PIXELIZATION)], "is not behind it"),
            ([Galaxy(0.5, mass=NEAR, name="a"), Galaxy(1.0, name="a")], "names of their own"),
        ],
    )
    def test_galaxies_that_make_no_tracer(self, galaxies: list[Galaxy], message: str) -> None:
        with pytest.raises(ValueError, match=f"galaxies: .*{message}"):
            Tracer(galaxies)

    def test_wrong_kinds(self) -> None:
        with pytest.raises(TypeError, match="galaxies: expected a Galaxy, got Isothermal"):
            Tracer([NEAR])  # type: ignore[list-item]
        with pytest.raises(TypeError, match="cosmology: expected an astropy FLRW"):
            Tracer([Galaxy(1.0)], cosmology="Planck15")

    @pytest.mark.parametrize("redshift", [2.5, -0.1, np.nan])
    def test_redshifts_out_of_range(self, redshift: float) -> None:
        with pytest.raises(ValueError, match=r"redshift: expected (0 to 2\.0|a number >= 0|a finite number)"):
            two_planes().traced_grid([[0.0, 1.0]], redshift=redshift)


class TestGalaxy:
    @pytest.mark.parametrize("redshift", [-0.1, np.nan, np.inf])
    def test_redshift_value(self, redshift: float) -> None:
        with pytest.raises(ValueError, match=r"redshift: expected a (finite number|number >= 0)"):
            Galaxy(redshift)

    @pytest.mark.parametrize("redshift", ["0.5", None, True, pt.dscalar("z")])
    def test_redshift_kind(self, redshift: Any) -> None:
        with pytest.raises(TypeError, match=r"redshift: expected (a number|real numbers)"):
            Galaxy(redshift)

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"mass": PointMass}, "mass: expected a MassProfile, got the class PointMass itself"),
            ({"mass": TestLights.lens}, "mass: expected a MassProfile, got MultiGaussian"),
            ({"light": MassSheet()}, "light: expected a LightProfile, got MassSheet"),
            (
                {"pixelization": PIXELIZATION.mesh},
                "pixelization: expected a Pixelization, got RectangularBox",
            ),
        ],
    )
    def test_parts_of_the_wrong_kind(self, kwargs: dict[str, Any], message: str) -> None:
        with pytest.raises(TypeError, match=message):
            Galaxy(0.5, **kwargs)

    def test_pixelization_with_swapped_parts(self) -> None:
        with pytest.raises(TypeError, match="mesh: expected a Mesh, got Constant"):
            Pixelization(Constant(1.0), PIXELIZATION.mesh)  # type: ignore[arg-type]


def delaying(cosmology: Any = COSMOLOGY) -> Tracer:
    mass = NEAR + ExternalShear(0.03, -0.02)
    return Tracer([Galaxy(0.5, mass=mass), Galaxy(1.2), Galaxy(2.0)], cosmology)


def delaying_lenstronomy(redshift: float) -> tuple[LensModel, list[dict[str, Any]]]:
    lens = LensModel(
        ["SIE", "SHEAR"], z_lens=0.5, z_source=redshift, z_source_convention=2.0, cosmo=COSMOLOGY
    )
    return lens, [NEAR_KWARGS, {"gamma1": 0.03, "gamma2": -0.02}]


@pytest.mark.parametrize("redshift", [1.2, 2.0])
@pytest.mark.parametrize("source", [None, (0.1, -0.05)])
def test_arrival_times_are_those_of_lenstronomy(
    grid: np.ndarray, redshift: float, source: tuple[float, float] | None
) -> None:
    lens, kwargs = delaying_lenstronomy(redshift)
    (y, x), beta = grid.T, {} if source is None else {"y_source": source[0], "x_source": source[1]}
    fermat = lens.fermat_potential(x, y, kwargs, **beta)
    ours = number(delaying().fermat_potential(grid, source, redshift))
    np.testing.assert_allclose(ours - ours[0], fermat - fermat[0], rtol=1e-8, atol=1e-8)
    times = lens.arrival_time(x, y, kwargs, **beta)
    ours = number(delaying().arrival_times(grid, source, redshift))
    np.testing.assert_allclose(ours - ours[0], times - times[0], rtol=1e-8, atol=1e-8 * np.ptp(times))


def test_time_delay_distance_is_that_of_lenstronomy() -> None:
    expected = LensCosmo(0.5, 2.0, cosmo=COSMOLOGY).ddt
    assert number(delaying().time_delay_distance()) == pytest.approx(expected, rel=1e-10)
    hubble = pt.scalar("hubble")
    distance = delaying(FlatWCDM(hubble, 0.3)).time_delay_distance()
    # Theirs has radiation.
    assert distance.eval({hubble: 70.0}, mode=ONCE) == pytest.approx(expected, rel=1e-3)
    slope = pytensor.grad(distance, hubble).eval({hubble: 70.0}, mode=ONCE)
    assert slope == pytest.approx(-distance.eval({hubble: 70.0}, mode=ONCE) / 70.0, rel=1e-10)


def test_images_of_a_point_are_where_the_arrival_time_is_stationary(grid: np.ndarray) -> None:
    positions = pt.matrix("positions", shape=(30, 2))
    source = number(delaying().traced_grid(grid))
    for place in range(3):
        times = delaying().arrival_times(positions, tuple(source[place]))[place]
        slope = pytensor.grad(times, positions).eval({positions: grid}, mode=ONCE)
        np.testing.assert_allclose(slope, 0.0, atol=1e-9)


def test_arrival_times_want_a_single_plane() -> None:
    for method in (two_planes().arrival_times, two_planes().fermat_potential):
        with pytest.raises(ValueError, match="exactly one plane with mass, there are 2"):
            method(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="exactly one plane with mass, there are 2"):
        two_planes().time_delay_distance()
    factors = ScalingFactors({(0.5, 1.2): 0.8})
    with pytest.raises(TypeError, match="cosmology: ScalingFactors have no distances"):
        delaying(factors).time_delay_distance()
