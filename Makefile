# Every target works as the first command after cloning. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help packages install demo test vm lint bench docs clean

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(STAMP) ## make .venv with orch and orch-oci, install missing system packages
	@:

packages:
	@PYTHON=$(PYTHON) scripts/system-packages.sh

$(STAMP): pyproject.toml | packages
	@PYTHON=$(PYTHON) scripts/virtualenv.sh
	@touch $@

demo: install ## run the shop, break it, watch it heal (as root)
	@$(BIN)/python scripts/demo.py

test: install ## all tests: tests/ and, as root on real containers, e2e/
	@$(BIN)/pytest -n auto tests
	@$(BIN)/pytest -n 2 --dist loadfile e2e  # they wait more than they compute

vm: install ## tests in a virtual machine: cgroup v2, Linux 6.1, reboot, power cut (as root, about 20 minutes)
	@ORCH_VM=1 $(BIN)/pytest e2e/vm

lint: install ## formatting, lint, types, import rules, generated docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/docs.py --check

bench: install ## measure, side by side with the peers that are installed (as root)
	@$(BIN)/python -m bench

docs: install ## generate docs/cli.md, docs/kubernetes.md and docs/compose.md
	@$(BIN)/python scripts/docs.py

clean: ## end the demo with all it made; remove .venv and caches
	@PYTHON=$(PYTHON) scripts/clean.sh
