"""The layers never mix: numerics know no PyTensor or PyMC, symbolic profiles know no numba.

The imports are read from the syntax trees, so one that hides in a function or under ``TYPE_CHECKING`` counts.
"""

from __future__ import annotations

import ast
from collections import deque
from pathlib import Path

import pytest

import pymc_lens

PACKAGE_ROOT = Path(pymc_lens.__file__).parent

NUMERICS = (
    "data",
    "geometry",
    "image_mesh",
    "inversion",
    "linalg",
    "linear",
    "mesh",
    "orthant",
    "regularization",
    "response",
)
PROFILES = ("mass", "light")
MODEL = ("galaxy", "tracer", "priors")


class ImportGraph:
    """Which modules each module of a package imports.

    Parameters
    ----------
    root : Path
        Folder of the package.

    Attributes
    ----------
    imports : dict[str, set[str]]
        For each module of the package the absolute names it imports. Importing a module runs the ``__init__``
        of its subpackages, so these count; the ``__init__`` of the package itself, which gathers the public
        names of every layer, counts only where a module asks it for one of them.
    """

    def __init__(self, root: Path) -> None:
        self.package = root.name
        files = {self._module_name(root, path): path for path in root.rglob("*.py")}
        self.modules = frozenset(files)
        self.imports = {
            name: self._imported(name, path.name == "__init__.py", ast.parse(path.read_text("utf-8")))
            for name, path in files.items()
        }

    def _module_name(self, root: Path, path: Path) -> str:
        parts = path.relative_to(root).with_suffix("").parts
        return ".".join((self.package, *(part for part in parts if part != "__init__")))

    def _imported(self, module: str, is_init: bool, tree: ast.Module) -> set[str]:
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(module, is_init, node)
                for alias in node.names:
                    member = f"{base}.{alias.name}"
                    names.add(member if member in self.modules else base)
        return {expanded for name in names for expanded in self._with_subpackages(name)} - {module}

    @staticmethod
    def _absolute(module: str, is_init: bool, node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        parts = module.split(".")
        folder = parts[: len(parts) - node.level + is_init]
        return ".".join([*folder, node.module] if node.module else folder)

    def _with_subpackages(self, name: str) -> list[str]:
        parts = name.split(".")
        if parts[0] != self.package:
            return [name]
        return [".".join(parts[:end]) for end in range(min(2, len(parts)), len(parts) + 1)]

    def layer(self, member: str) -> list[str]:
        """Return the modules of a layer: one file, or every file of a folder."""
        name = f"{self.package}.{member}"
        return sorted(m for m in self.modules if m == name or m.startswith(f"{name}."))

    def chain_to(
        self, module: str, forbidden: tuple[str, ...], gates: tuple[str, ...] = ()
    ) -> list[str] | None:
        """Return the shortest chain of imports from a module to a forbidden package, if there is one.

        Layers that are gates may import what they like: no chain goes through their modules.
        """
        closed = {name for gate in gates for name in self.layer(gate)}
        chains, seen = deque([[module]]), {module}
        while chains:
            chain = chains.popleft()
            for name in sorted(self.imports.get(chain[-1], ())):
                if name.split(".")[0] in forbidden:
                    return [*chain, name]
                if name not in seen | closed:
                    seen.add(name)
                    chains.append([*chain, name])
        return None


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return ImportGraph(PACKAGE_ROOT)


def broken_rules(
    graph: ImportGraph, member: str, forbidden: tuple[str, ...], gates: tuple[str, ...] = ()
) -> list[str]:
    modules = graph.layer(member)
    assert modules, f"{graph.package}.{member} does not exist: the rule would hold of nothing"
    chains = (graph.chain_to(module, forbidden, gates) for module in modules)
    return [" -> ".join(chain) for chain in chains if chain]


@pytest.mark.parametrize("member", NUMERICS)
def test_numerics_reach_no_pytensor_or_pymc(graph: ImportGraph, member: str) -> None:
    assert broken_rules(graph, member, ("pytensor", "pymc")) == []


@pytest.mark.parametrize("member", PROFILES)
def test_profiles_reach_numba_through_ops_alone(graph: ImportGraph, member: str) -> None:
    assert broken_rules(graph, member, ("numba",), gates=("ops",)) == []


@pytest.mark.parametrize("member", PROFILES)
def test_profiles_know_their_ops(graph: ImportGraph, member: str) -> None:
    known = {name for module in graph.layer(member) for name in graph.imports[module]}
    ops = {f"pymc_lens.ops.{name}" for name in ("ray_op", "formulas", "gaussian_columns")}
    assert {name for name in known if name.startswith("pymc_lens.ops.")} <= ops


def test_ops_know_no_profile(graph: ImportGraph) -> None:
    for module in graph.layer("ops"):
        rooms = {name.split(".")[1] for name in graph.imports[module] if name.startswith("pymc_lens.")}
        assert not rooms & {*PROFILES, *MODEL}, module


@pytest.mark.parametrize("member", MODEL)
def test_model_modules_do_not_use_numba_themselves(graph: ImportGraph, member: str) -> None:
    # They hold meshes and priors as values, whose numerics are numba: only their own imports are bound.
    for module in graph.layer(member):
        direct = {name.split(".")[0] for name in graph.imports[module]}
        assert "numba" not in direct, module
    assert graph.layer(member)


@pytest.mark.parametrize(
    ("source", "chain"),
    [
        ("import pytensor.tensor as pt", ["pkg.mesh.grid", "pytensor.tensor"]),
        ("from pymc import Model", ["pkg.mesh.grid", "pymc"]),
        ("def f():\n    import pymc", ["pkg.mesh.grid", "pymc"]),
        ("from pkg.ops import core", ["pkg.mesh.grid", "pkg.ops.core", "pytensor"]),
        ("from pkg.ops.core import x", ["pkg.mesh.grid", "pkg.ops.core", "pytensor"]),
        ("import pkg.ops.core", ["pkg.mesh.grid", "pkg.ops.core", "pytensor"]),
        ("from ..ops.core import x", ["pkg.mesh.grid", "pkg.ops.core", "pytensor"]),
        ("from ..ops import core", ["pkg.mesh.grid", "pkg.ops.core", "pytensor"]),
        ("from . import helper", ["pkg.mesh.grid", "pkg.mesh.helper", "pkg.ops.core", "pytensor"]),
        ("from pkg import thing", ["pkg.mesh.grid", "pkg", "pymc"]),
        ("from .. import thing", ["pkg.mesh.grid", "pkg", "pymc"]),
        ("from pkg.sub.leaf import x", ["pkg.mesh.grid", "pkg.sub", "pymc"]),
        ("import numpy\nfrom pkg.plain import x", None),
        ("import pymc_lens_look_alike", None),
    ],
)
def test_the_graph_finds_planted_imports(tmp_path: Path, source: str, chain: list[str] | None) -> None:
    files = {
        "__init__.py": "from pymc import thing",
        "plain.py": "import numpy",
        "ops/__init__.py": "",
        "ops/core.py": "import pytensor\nx = 1",
        "sub/__init__.py": "import pymc",
        "sub/leaf.py": "x = 1",
        "mesh/__init__.py": "from .grid import anything",
        "mesh/helper.py": "from pkg.ops.core import x",
        "mesh/grid.py": source,
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    graph = ImportGraph(tmp_path / "pkg")
    assert graph.chain_to("pkg.mesh.grid", ("pytensor", "pymc")) == chain
    # A gate hides what lies behind it, and nothing else.
    behind_the_gate = chain is not None and "pkg.ops.core" in chain
    closed = graph.chain_to("pkg.mesh.grid", ("pytensor", "pymc"), gates=("ops",))
    assert closed == (None if behind_the_gate else chain)
