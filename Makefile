# Two commands do everything on a fresh machine: `make demo` and `make test`.
VENV := .venv
MER := $(VENV)/bin/mer
DEMO := # options of `mer demo`, such as --json

.PHONY: demo test docs setup clean

demo: setup
	$(MER) demo $(DEMO)

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The site, in site/index.html; needs no network.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

# Installs only when what is wanted has changed since the last time; PYTHON=python3.13 names the interpreter. The models
# that find faces are got once a user; the output of `demo` may be JSON, so this one's goes elsewhere.
setup: $(VENV)/.installed
	@$(MER) setup >&2

$(VENV)/.installed: pyproject.toml constraints.txt scripts/setup.sh
	bash scripts/setup.sh $(VENV)
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache site
