# FloodSat. `make` lists the commands; each installs what it needs first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Nothing of the caller's Python may leak into the environments.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

SCRIPT := scripts/environment.sh
PYTHON := .venv/bin/python
FLIGHT := .venv-flight/bin/python

# Test processes: one a core, four at most, for TensorFlow takes memory in each.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
PYTEST := -m pytest -n $(JOBS) --dist loadfile --durations 10 --durations-min 5

# An environment that is gone, broken or was made elsewhere is made again.
remade = $(shell bash $(SCRIPT) made-here $(1) || echo again)
# What runs without TensorFlow: the development environment where it is installed already.
RUNTIME := .venv/.stamp-$(if $(wildcard .venv/.stamp-dev),dev,base)

# Python 3.9 is looked for before the long part of `make test`, not after it.
CHECKS := $(if $(filter 1,$(FLOODSAT_NO_FLIGHT)),lint types pytest,find-flight lint types flight-env pytest flight)

# Real imagery, which is never part of the project.
DATA := $(or $(FLOODSAT_DATA),../shared/data)

.PHONY: help base install demo test lint types pytest flight flight-env find-flight hil soak \
	bench docs footprint upsets patches lab streaming vendor pictures notebook figures lock wheels clean again

help: ## list these commands
	@echo "FloodSat: make COMMAND"
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' Makefile | expand -t 14

demo: $(RUNTIME) ## from a sample frame to a flood map and its page, in demo-out (no TensorFlow)
	@.venv/bin/floodsat demo --out demo-out

install: .venv/.stamp-dev ## the development environment in .venv (Python 3.11, TensorFlow)
	@:

base: $(RUNTIME) ## the small environment in .venv: fly, receive, look (Python 3.11, no TensorFlow)
	@:

flight-env: .venv-flight/.stamp-flight ## the flight environment in .venv-flight (Python 3.9)
	@:

test: $(CHECKS) ## lint, types and all tests, those of the flight environment included
ifeq ($(FLOODSAT_NO_FLIGHT),1)
	@echo
	@echo "NOT CHECKED: flight environment"
endif

lint: .venv/.stamp-dev ## ruff: rules and format
	@echo "== lint"
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

types: .venv/.stamp-dev ## mypy --strict
	@echo "== types"
	@$(PYTHON) -m mypy

pytest: .venv/.stamp-dev ## the tests on Python 3.11
	@echo "== tests, Python 3.11"
	@$(PYTHON) $(PYTEST) tests

# Compiled first: an onboard module that no test imports must still be Python 3.9.
flight: .venv-flight/.stamp-flight ## the tests of onboard and hil_tests in the flight environment
	@echo "== tests of onboard, Python 3.9, flight environment"
	@$(FLIGHT) -m compileall -q -f onboard
	@$(FLIGHT) $(PYTEST) tests/onboard
	@echo "== hil_tests, software in the loop"
	@$(FLIGHT) -m pytest hil_tests --device CPU --report build/hil-report

hil: .venv-flight/.stamp-flight ## hil_tests on the Myriad stick that is here, else on the CPU; into hil-report
	@$(FLIGHT) -m pytest hil_tests --device auto --report hil-report

find-flight:
	@bash $(SCRIPT) find 3.9 >/dev/null

# The day of operation prints its books, so it runs alone.
soak: .venv/.stamp-dev .venv-flight/.stamp-flight ## the long counts: tests marked soak, hil_tests --full
	@$(PYTHON) $(PYTEST) -m soak --timeout 0 --ignore tests/onboard/test_soak_day.py tests
	@$(PYTHON) -m pytest -m soak --timeout 0 -s -n 0 tests/onboard/test_soak_day.py
	@$(FLIGHT) -m pytest hil_tests --device CPU --full --timeout 0 --report build/hil-report

bench: .venv/.stamp-dev ## time this machine, into docs/benchmarks.md (two minutes); REPLAYS=FOLDER: the month too
	@mkdir -p docs/images docs/figures
	@.venv/bin/floodsat bench --markdown docs/benchmarks.md --plot docs/images/bench.png \
		--json docs/figures/bench.json $(if $(REPLAYS),--replay "$(REPLAYS)")

footprint: .venv/.stamp-dev .venv-flight/.stamp-flight ## what the service takes of a flight computer, into docs/flight-software.md
	@$(PYTHON) -m benchmarks.footprint --write

upsets: .venv/.stamp-dev ## single bit flips in the weights, into docs/security.md
	@$(PYTHON) -m benchmarks.upsets --write

patches: .venv/.stamp-dev ## how small patches of a model are, on a short run of the sample chips
	@$(PYTHON) -m benchmarks.patches

lab: .venv/.stamp-dev ## the full experiments on real chips, into docs/experiments (needs the data folder; two hours)
	@.venv/bin/floodsat lab all --out docs/experiments --data $(DATA)

streaming: .venv/.stamp-dev ## peak memory of training with up to 10,000 chips, into docs/streaming.md
	@$(PYTHON) -m benchmarks.streaming --write

vendor: $(RUNTIME) ## pack the libraries of the replay page anew, at the pinned versions (needs npm)
	@$(PYTHON) scripts/vendor.py

products: .venv/.stamp-dev .venv-flight/.stamp-flight ## how small products are, into docs/products.md (needs the data folder)
	@$(PYTHON) -m benchmarks.products "$(DATA)" --write

placement: .venv/.stamp-dev ## where dropout acts and at what rates, by evidence (an hour; needs the data folder)
	@.venv/bin/floodsat synth --chips --count 160 --size 128 --seed 1000 --out build/synth160
	@$(PYTHON) -m benchmarks.placement "$(DATA)/dfc24" build/synth160 --work build/onefold --seeds 1 --longer --write
	@$(PYTHON) -m benchmarks.rates "$(DATA)/dfc24" build/synth160 --work build/onefold --write

pictures: demo ## the pictures of the docs, from a fresh demo
	@$(PYTHON) scripts/pictures.py

notebook: .venv/.stamp-dev ## run docs/notebooks anew, outputs included
	@$(PYTHON) scripts/notebook.py

figures: .venv/.stamp-dev ## write the README's figures of the shipped bundle (needs the data folder)
	@.venv/bin/floodsat evaluate data_samples/bundle "$(DATA)/dfc24" --no-odd --json docs/figures/dfc24-test.json
	@.venv/bin/floodsat evaluate data_samples/bundle "$(DATA)/dfc24" --gsd 80 --no-odd --json docs/figures/dfc24-test-80m.json
	@.venv/bin/floodsat evaluate data_samples/bundle "$(DATA)/clouds" --no-odd --json docs/figures/clouds-test.json
	@.venv/bin/floodsat evaluate data_samples/bundle "$(DATA)/dfc24" "$(DATA)/clouds" --odd "$(DATA)/scenes" \
		--odd "$(DATA)/clouds/images" --odd "$(DATA)/phisat2_sim/images" --json docs/figures/odd-test.json
	@$(PYTHON) -m benchmarks.oddity --write
	@$(PYTHON) scripts/odd_figures.py
	@$(PYTHON) -m benchmarks.failures "$(DATA)/dfc24" "$(DATA)"/scenes/*.tif --write
	@$(PYTHON) -m benchmarks.link --write
	@$(PYTHON) -m benchmarks.passes --write
	@$(PYTHON) scripts/readme_figures.py

docs: .venv/.stamp-dev ## the documentation site: build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "open build/site/index.html"

wheels: $(RUNTIME) ## install the wheel in fresh environments of every Python that is here, and run it (network)
	@bash scripts/wheels.sh

lock: ## write requirements/*.txt anew from the *.in files; UPGRADE=1 for the newest versions
	@bash $(SCRIPT) lock

clean: ## remove the environments, caches and demo-out
	@rm -rf .venv .venv-flight .venv-uv demo-out build floodsat.egg-info \
		.mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.stamp-base .venv/.stamp-dev: .venv/.stamp-%: requirements/%.txt pyproject.toml $(SCRIPT) $(call remade,.venv)
	@bash $(SCRIPT) $*

.venv-flight/.stamp-flight: requirements/flight.txt pyproject.toml $(SCRIPT) $(call remade,.venv-flight)
	@bash $(SCRIPT) flight
