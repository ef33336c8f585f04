"""What the code blocks of docs/extending.md define, run in order as one module."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"


@cache
def extending() -> ModuleType:
    """Return the page as a module, which pickles find by its name."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    module = sys.modules["extending"] = ModuleType("extending")
    exec(compile("\n".join(blocks), str(PAGE), "exec"), module.__dict__)
    return module
