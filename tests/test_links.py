"""What docstrings and pages refer to in other packages is in the inventories that the repository keeps."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
PACKAGES = "arviz|astropy|matplotlib|numpy|pandas|pymc|python|scipy|xarray"
IN_CODE = re.compile(rf"(?<!`)`~?((?:{PACKAGES})\.[A-Za-z_.]+)`(?!`)")
IN_PAGES = re.compile(rf"\{{\w+\}}`~?((?:{PACKAGES})\.[A-Za-z_.]+)`")


def known() -> set[str]:
    inventories = [
        InventoryFile.loads(path.read_bytes(), uri="") for path in (ROOT / "docs/_inventories").glob("*.inv")
    ]
    return {name for inventory in inventories for names in inventory.data.values() for name in names}


def referred() -> set[str]:
    code = "".join(path.read_text() for path in (ROOT / "pymc_lens").rglob("*.py"))
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    return {*IN_CODE.findall(code), *IN_PAGES.findall(pages)}


def test_every_reference_to_another_package_is_a_link():
    names = referred()
    assert {"pymc.sample", "xarray.DataTree"} <= names
    assert names <= known()
