# `make demo` and `make test` do all set-up; a second run does no work twice.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# For PyTorch's CPU-only builds: make TORCH_INDEX=https://download.pytorch.org/whl/cpu demo
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check optional format clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seepage needs Python 3.11 or newer; say make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(PIP) -e '.[dev]'
	touch $@

demo: $(STAMP)
	@$(BIN)/seepage audit quickstart; code=$$?; \
	case $$code in \
	  0) echo "make demo: the audit passed (exit 0)";; \
	  1) echo "make demo: the audit found a leak (exit 1)";; \
	  3) echo "make demo: the audit is inconclusive (exit 3)";; \
	  *) echo "make demo: the audit failed (exit $$code)"; exit $$code;; \
	esac

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_house.py

# Homomorphic encryption and multi-party computation, as far as this machine has what they need.
optional: $(STAMP)
	-$(PIP) -e '.[he]'
	-$(BIN)/seepage doctor --make openfhe
	-$(BIN)/seepage doctor --make spu

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

clean:
	rm -rf .venv seepage-runs
