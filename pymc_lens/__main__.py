"""``python -m pymc_lens``."""

from pymc_lens.cli import main

if __name__ == "__main__":
    main()
