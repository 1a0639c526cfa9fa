# Two commands for a newcomer: `make rehearse` and `make test`. Each sets up first what is missing.
# A line `target: ...  ## text` is what `make help` shows.

PYTHON3 ?= python3
TIME_SCALE ?= 10
FAULT ?=
SOAK_FOR ?= 10m
SEED ?=
REAL ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup check lint quick test soak matrices mutants alarms rehearse bench clean distclean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  e.g.  make rehearse FAULT=pool-exhaustion TIME_SCALE=5'

setup:  ## .venv with `rollout` and `simulate`, Debian packages, engine and plugins; once
	@command -v $(PYTHON3) >/dev/null || { echo 'set-up: $(PYTHON3) is missing: apt-get install python3' >&2; exit 2; }
	@$(PYTHON3) -m tools.setup

check: setup  ## lint, types, import rules and the quick tests
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint quick

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --config pyproject.toml

# The simulator compiles for a minute before its first test; `make test` runs those too.
quick: setup
	@$(BIN)/pytest -q -n 2 -m 'not lab and not engine and not compiled and not long'

test: setup  ## all tests: what needs no lab on two cores, then those with the real engine and the lab
	@$(BIN)/python -m tools.test

soak: setup  ## nights of the controller in a world that fails by seed, for SOAK_FOR (10m)
	@$(BIN)/python -m tools.soak --for $(SOAK_FOR) --workers 2 $(if $(SEED),--seed $(SEED))

matrices: setup  ## every death and every fault of a rollout on fakes, REAL=1 some in the lab; writes docs/matrices.md
	@$(BIN)/python -m tools.matrices $(if $(REAL),--real)

alarms: setup  ## writes docs/alarms.md from the program's table of alarms
	@$(BIN)/python -m tools.alarms_page

mutants: setup  ## how many of 400 planted defects in policy, plan, journal and control the quick tests notice; takes hours
	@$(BIN)/python -m tools.mutants

rehearse: setup  ## two releases on real parts, the bad one rolled back automatically (FAULT=..., TIME_SCALE=...)
	@$(BIN)/simulate lab rehearse --time-scale $(TIME_SCALE) $(if $(FAULT),--fault $(FAULT))

bench: setup  ## how fast the simulator is; then, in the lab, traffic updates beside a bare ModifyRule call, and undos under load
	@$(BIN)/python -m tools.bench
	@$(BIN)/simulate lab bench

clean:  ## end this checkout's labs, remove build/, the tools' caches, compiled code of older sources; keeps .venv
	@$(PYTHON3) -m tools.clean

distclean: clean  ## clean, and remove .venv
	@rm -rf .venv
