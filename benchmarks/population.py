"""Whether populations inferred from posteriors of single lenses are calibrated.

    python benchmarks/population.py run OUT.csv [--populations 20] [--lenses 200] [--draws 500] [--first 0]
    python benchmarks/population.py judge OUT.csv [OUT2.csv ...]

Every population's hyperparameters are drawn from the priors of the model, its lenses from the population, and
of each lens an estimate with correlated errors, so that its posterior under the interim prior is a Gaussian
that is drawn from. The posterior of the hyperparameters is sampled by adaptive importance sampling of the
model's log-probability: one function for all populations, which nothing that a chain does adds to. ``judge``
prints whether the ranks of the truths in the posteriors are uniform (Talts et al. 2018, arXiv:1804.06788),
the distances from the truth in standard deviations, and how well the draws cover the populations.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import pymc as pm
from ranks import table
from scipy import stats

import pymc_lens as pl
from pymc_lens.inference.importance import Batch, StudentT, adapted, weigh

# Of the parameters of a lens: mean and standard deviation of the interim prior, and of a fit's error.
PARAMETERS = {
    "slope": (2.0, 0.4, 0.1),
    "log_theta_e": (0.1, 0.6, 0.01),
    "gamma_1": (0.0, 0.1, 0.015),
    "gamma_2": (0.0, 0.1, 0.015),
    "e_1": (0.0, 0.4, 0.04),
    "e_2": (0.0, 0.4, 0.04),
    "log_scale": (-2.3, 1.0, 0.3),
}
# Steeper lenses have smaller sources, rounder ones less shear: how errors of fits go together.
CORRELATED = {("slope", "log_scale"): -0.6, ("gamma_1", "e_1"): 0.7, ("gamma_2", "e_2"): 0.7}


def hyperpriors() -> dict[str, pm.Distribution]:
    return {
        "mu_slope": pm.Normal.dist(2.05, 0.1),
        "sigma_slope": pm.LogNormal.dist(np.log(0.15), 0.25),
        "mu_log_theta_e": pm.Normal.dist(0.0, 0.2),
        "sigma_log_theta_e": pm.LogNormal.dist(np.log(0.3), 0.2),
        "sigma_shear": pm.LogNormal.dist(np.log(0.05), 0.2),
        "sigma_e": pm.LogNormal.dist(np.log(0.2), 0.2),
        "mu_log_scale": pm.Normal.dist(-2.3, 0.3),
        "sigma_log_scale": pm.LogNormal.dist(np.log(0.5), 0.2),
    }


def population(hyper) -> dict[str, tuple]:
    """Mean and standard deviation of each parameter, of numbers or variables."""
    return {
        "slope": (hyper["mu_slope"], hyper["sigma_slope"]),
        "log_theta_e": (hyper["mu_log_theta_e"], hyper["sigma_log_theta_e"]),
        "gamma_1": (0.0, hyper["sigma_shear"]),
        "gamma_2": (0.0, hyper["sigma_shear"]),
        "e_1": (0.0, hyper["sigma_e"]),
        "e_2": (0.0, hyper["sigma_e"]),
        "log_scale": (hyper["mu_log_scale"], hyper["sigma_log_scale"]),
    }


def error_covariance() -> np.ndarray:
    errors = np.array([error for _, _, error in PARAMETERS.values()])
    correlation = np.eye(len(PARAMETERS))
    names = list(PARAMETERS)
    for (first, second), value in CORRELATED.items():
        i, j = names.index(first), names.index(second)
        correlation[i, j] = correlation[j, i] = value
    return correlation * np.outer(errors, errors)


def simulated(truth: dict[str, float], n_lenses: int, n_draws: int, rng: np.random.Generator) -> list[dict]:
    """Draw lenses, fit them, and draw from their posteriors under the interim prior."""
    means, sds = np.array(list(population(truth).values())).T
    lenses = rng.normal(means, sds, (n_lenses, means.size))
    middles, widths = np.array([each[:2] for each in PARAMETERS.values()]).T
    posteriors = []
    for lens in lenses:
        # Some lenses are seen better than others.
        covariance = error_covariance() * rng.uniform(0.5, 2.0) ** 2
        estimate = rng.multivariate_normal(lens, covariance)
        precision = np.linalg.inv(covariance)
        posterior = np.linalg.inv(precision + np.diag(widths**-2.0))
        middle = posterior @ (precision @ estimate + middles / widths**2)
        draws = rng.multivariate_normal(middle, posterior, n_draws)
        posteriors.append(dict(zip(PARAMETERS, draws.T, strict=True)))
    return posteriors


def model_of(posteriors: list[dict]) -> pm.Model:
    interim = {name: pm.Normal.dist(middle, width) for name, (middle, width, _) in PARAMETERS.items()}
    with pm.Model() as model:
        hyper = {
            name: model.register_rv(distribution, name=name) for name, distribution in hyperpriors().items()
        }
        distributions = {name: pm.Normal.dist(*moments) for name, moments in population(hyper).items()}
        pl.PopulationLikelihood("lenses", distributions, posteriors, interim)
    return model


def calibrate(path: Path, first: int, n_populations: int, n_lenses: int, n_draws: int) -> None:
    """Infer population after population with one compiled function, whose data are exchanged."""
    model, function = None, None
    for k in range(first, first + n_populations):
        begin = time.perf_counter()
        rng = np.random.default_rng([19, k])
        drawn = pm.draw(list(hyperpriors().values()), random_seed=rng)
        truth = {name: float(value) for name, value in zip(hyperpriors(), drawn, strict=True)}
        posteriors = simulated(truth, n_lenses, n_draws, rng)
        if function is None:
            model = model_of(posteriors)
            told = [model.logp(), model["lenses_effective_draws"], model["lenses_variance"]]
            function = model.compile_fn(model.replace_rvs_by_values(told), inputs=model.value_vars)
        # The prior is the last column.
        interim = sum(
            stats.norm.logpdf(np.array([each[name] for each in posteriors]), middle, width)
            for name, (middle, width, _) in PARAMETERS.items()
        )
        columns = [np.array([each[name] for each in posteriors]) for name in PARAMETERS]
        model.rvs_to_values[model["lenses"]].set_value(np.stack([*columns, interim], axis=-1))
        weighted, told = posterior_of(function, model.value_vars, posteriors, rng)
        rows = []
        for place, variable in enumerate(model.value_vars):
            name = variable.name.removesuffix("_log__")
            value = truth[name] if name == variable.name else np.log(truth[name])
            weights, points = np.exp(weighted.log_weights), weighted.points[:, place]
            mean = weights @ points
            sd = np.sqrt(weights @ (points - mean) ** 2)
            below = float(weights[points < value].sum())
            rows.append([k, name, value, mean, sd, (value - mean) / sd, below, weighted.effective, *told])
        with path.open("a", newline="") as file:
            csv.writer(file).writerows(rows)
        seconds = time.perf_counter() - begin
        print(
            f"{k}: {seconds:.0f} s, {weighted.effective:.0f} effective of {len(weighted.points)}", flush=True
        )


def posterior_of(function, variables, posteriors: list[dict], rng: np.random.Generator):
    """Sample the hyperparameters; also the effective draws of the worst lens and the variance, on average."""
    told = []

    def values(points: np.ndarray) -> np.ndarray:
        found = np.array(
            [
                function({variable.name: each for variable, each in zip(variables, point, strict=True)})
                for point in points
            ]
        )
        told.append(found)
        return found[:, 0]

    weighted = adapt(first_guess(variables, posteriors), values, rng)
    counted = np.concatenate(told)[-len(weighted.points) :, 1:]
    return weighted, np.exp(weighted.log_weights) @ counted


def first_guess(variables, posteriors: list[dict]) -> StudentT:
    """Mean and scatter of the posteriors' means, with the errors that so many lenses have."""
    centre, scale = [], []
    of_name = {"shear": ("gamma_1", "gamma_2"), "e": ("e_1", "e_2")}
    for variable in variables:
        kind, _, name = variable.name.removesuffix("_log__").partition("_")
        columns = of_name.get(name, (name,))
        means = np.array([[each[column].mean() for column in columns] for each in posteriors])
        within = np.mean([[each[column].var() for column in columns] for each in posteriors])
        scatter = np.sqrt(means.var())
        if kind == "mu":
            centre.append(means.mean())
            scale.append(scatter / np.sqrt(len(means)))
        else:
            centre.append(0.5 * np.log(max(means.var() - within, 0.25 * means.var())))
            scale.append(1.5 / np.sqrt(2.0 * means.size))
    return StudentT(np.array(centre), np.diag(scale), 6.0)


def adapt(first: StudentT, values, rng: np.random.Generator, size: int = 150):
    batches: list[Batch] = []
    for warm in (False, False, True, True):
        proposal = adapted(batches)[0] if batches else first
        points = proposal.draw(size, rng)
        batches.append(Batch((proposal,), points, values(points), warm))
    return weigh(batches)


def judge(paths: list[Path]) -> None:
    rows = [row for path in paths for row in csv.reader(path.open())]
    names = np.array([row[1] for row in rows])
    numbers = np.array([[float(each) for each in row[2:]] for row in rows])
    distances, of_truths, of_sampler, effective, variance = numbers[:, 3:].T
    ranks = {str(name): of_truths[names == name] for name in dict.fromkeys(names)} | {"all": of_truths}
    print(f"{len({row[0] for row in rows})} populations")
    print(table(ranks))
    print(f"Distances: mean {distances.mean():.2f}, sd {distances.std():.2f}, of {distances.size}")
    print(f"Largest distance: {abs(distances).max():.2f} ({names[abs(distances).argmax()]})")
    print(f"Effective draws of the hyperparameters: {of_sampler.min():.0f} to {of_sampler.max():.0f}")
    print(f"Effective draws of the worst lens: {effective.min():.0f} to {effective.max():.0f}")
    print(f"Variance of the log-likelihood: {variance.min():.2f} to {variance.max():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("out", type=Path)
    running.add_argument("--populations", type=int, default=20)
    running.add_argument("--lenses", type=int, default=200)
    running.add_argument("--draws", type=int, default=500)
    running.add_argument("--first", type=int, default=0)
    running.set_defaults(run=lambda a: calibrate(a.out, a.first, a.populations, a.lenses, a.draws))
    judging = commands.add_parser("judge")
    judging.add_argument("tables", type=Path, nargs="+")
    judging.set_defaults(run=lambda a: judge(a.tables))
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
