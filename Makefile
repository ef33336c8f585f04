# `make demo` and `make test` set up everything they need; `make help` lists the rest.
#
# PYTHON=/path/to/python   the Python to build .venv with (default: .ci/find-python looks for one)
# WORKERS=2                processes of pytest; 0 runs the tests in one, as `pytest tests` does
# PYTEST_ARGS="-x"         extra arguments of pytest
WORKERS ?= 2
PYTEST_ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Neither may leak another Python's packages into .venv.
unexport PYTHONPATH PYTHONHOME

VENV := .venv/bin/python
PEERS := .venv-peers/bin/python
# A file's tests run in one process: they share what its fixtures have sampled. In the order of tests/conftest.py.
PYTEST := $(VENV) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Pages have small models of many kinds: to compile each takes longer than to run it as it is.
SPHINX := PYTENSOR_FLAGS=linker=py,optimizer_excluding=fusion $(VENV) -m sphinx -b html -W --keep-going -j 2
USABLE := $(VENV) -c 'import pip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-all lint format docs docs-test docs-results docs-lens bench bench-peers clean FORCE

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/.installed ## Sample the posterior of a real Hubble lens; results in demo/
	$(VENV) examples/demo.py

test: lint ## Lint, type check and run the default tests
	$(PYTEST) $(PYTEST_ARGS)

test-all: lint ## The same with the tests marked slow
	$(PYTEST) -m "" --hypothesis-profile=thorough $(PYTEST_ARGS)

lint: .venv/.installed ## Lint and type check
	$(VENV) -m ruff check .
	$(VENV) -m mypy

format: .venv/.installed ## Sort imports and format the code
	$(VENV) -m ruff check --select I --fix .
	$(VENV) -m ruff format .

docs: .venv/.docs-installed ## Build the documentation into docs/_build/html, check its links
	$(SPHINX) docs docs/_build/html
	$(VENV) docs/_links.py docs/_build/html

docs-test: .venv/.docs-installed ## The same with every page run anew, and what slow pages show kept for later
	rm -rf docs/_build docs/_jupyter_cache docs/api
	DOCS_ANEW=1 $(SPHINX) docs docs/_build/html
	$(VENV) docs/_links.py docs/_build/html
	$(VENV) docs/results/executed.py

docs-results: .venv/.docs-installed ## Fit the gallery of real lenses anew (SLACS=data OUT=results, two minutes a lens)
	.venv/bin/pymc-lens survey $(SLACS) --out $(OUT) --pixel-scale 0.05 --workers 1
	$(VENV) docs/results/gallery.py $(SLACS) $(OUT)

docs-lens: .venv/.docs-installed ## Sample the posterior of the page on your own lens anew, some minutes
	$(VENV) docs/results/own_lens.py

bench: .venv/.installed ## Time the evidence and its gradient on the reference problem
	$(VENV) benchmarks/evidence.py

bench-peers: .venv/.installed .venv-peers/.installed ## Time PyAutoLens (in .venv-peers) on the same problem
	$(VENV) benchmarks/peers.py

venv: .venv/.installed ## Create .venv and install pymc_lens with its development tools
	@echo "$$($(VENV) --version) in $(CURDIR)/.venv"

# A stamp vouches for nothing once the Python beneath has been removed or upgraded away.
.venv/.installed: pyproject.toml $(if $(shell $(USABLE) && echo usable),,FORCE)
	@$(USABLE) || { \
	    python=$$(.ci/find-python) || exit 1; \
	    echo "Creating .venv with $$python"; \
	    "$$python" -m venv --clear .venv; }
	@echo "Setting up .venv: installing pymc_lens and its dependencies, about a minute"
	@$(VENV) -m pip install -qq --editable '.[dev]'
	@touch $@

.venv/.docs-installed: .venv/.installed
	@echo "Setting up .venv: installing what builds the documentation"
	@$(VENV) -m pip install -qq --editable '.[dev,docs]'
	@touch $@

# PyAutoLens pins versions that pymc_lens does not want, hence the second environment.
.venv-peers/.installed:
	@python=$$(.ci/find-python) || exit 1; \
	    echo "Creating .venv-peers with $$python"; \
	    "$$python" -m venv --clear .venv-peers
	@echo "Setting up .venv-peers: installing PyAutoLens with numba and its dependencies, some minutes"
	@$(PEERS) -m pip install -qq autolens==2026.10.26.1 numba
	@touch $@

FORCE:

clean: ## Remove caches, builds and the demo's results (delete .venv by hand)
	rm -rf demo build dist docs/_build docs/_jupyter_cache docs/api .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
