"""The singular isothermal ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytensor.tensor.variable import TensorVariable

from pymc_lens.mass.base import Hessian, MassProfile
from pymc_lens.symbolic import nan_unless, pair, scalar
