# One command per habit, the same for people and for CI.

PYTHON ?= python3
ENGINE ?= moonshine
VENV := .venv
BIN := $(VENV)/bin
# PyTorch for the CPU where there is no NVIDIA GPU, unless pip has been told where its wheels are.
TORCH_FROM ?= $(if $(shell command -v nvidia-smi)$(PIP_FIND_LINKS),,--extra-index-url https://download.pytorch.org/whl/cpu)
# Test files that run at a time: most of a test's time is spent waiting for sound, so a few share a core.
SIDE_BY_SIDE ?= 3
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test lint types unit web-test e2e bench bench-media bench-engine gpu fuzz format clean

run: $(VENV)/.runtime $(if $(filter moshi,$(ENGINE)),$(VENV)/.moshi)  ## install what is needed and serve on http://127.0.0.1:8080
	@exec $(BIN)/offhook serve --engine $(ENGINE)

test: lint types unit web-test e2e  ## everything that CI runs

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev node_modules/.installed
	$(BIN)/mypy
	npm run --silent types

unit: $(VENV)/.dev  ## unit and integration tests
	$(BIN)/pytest -n $(SIDE_BY_SIDE) --dist loadfile tests

web-test: node_modules/.installed  ## the browser's code, in Node
	npm test --silent

e2e: $(VENV)/.dev node_modules/.installed chromium firefox  ## the page in real browsers, and a caller that is none
	$(BIN)/pytest e2e

bench: $(VENV)/.dev  ## the figures in bench/README.md, on this machine
	$(BIN)/python -m bench

PEERS := .venv-peers
bench-media: $(VENV)/.dev $(PEERS)/fastrtc/.installed $(PEERS)/pipecat/.installed $(PEERS)/plot/.installed
bench-media:  ## the receive path beside stock aiortc, FastRTC and Pipecat; ARGS="--only latency" for a part of it
	@$(BIN)/python -m bench.media $(ARGS); reached=$$?; $(PEERS)/plot/bin/python bench/media/plot.py; exit $$reached

bench-engine: $(VENV)/.dev $(PEERS)/plot/.installed  ## the batch around its model, and the model beside moshi's own loop
	$(BIN)/python -m bench.around
	$(BIN)/python -m bench.engine --device cpu
	$(PEERS)/plot/bin/python bench/step/plot.py

gpu: $(VENV)/.dev $(PEERS)/plot/.installed  ## on an NVIDIA GPU: the sealed suite, the step beside moshi's own loop, the plot
	@$(BIN)/pytest -m gpu -s tests/gpu; suite=$$?; \
	$(BIN)/python -m bench.engine --device cuda $(ARGS); reached=$$?; \
	$(PEERS)/plot/bin/python bench/step/plot.py && exit $$((suite + reached))

fuzz: $(VENV)/.dev  ## hundreds of thousands of inputs bent by chance, for everything that reads what a caller sends
	$(BIN)/python -m bench.fuzz $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(PEERS) .cache node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Offhook needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Install Python's venv first: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the runtime packages into $(VENV) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.moshi: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing the packages of the moshi engine into $(VENV) ..."
	@$(PIP) $(TORCH_FROM) -e '.[moshi]'
	@$(PIP) --no-deps moshi
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.moshi | $(VENV)/bin/python
	@echo "Installing the development packages into $(VENV) ..."
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.runtime

$(PEERS)/%/.installed: bench/media/peers/%.txt
	@echo "Installing what $< lists into $(PEERS)/$* ..."
	@$(PYTHON) -m venv --clear $(PEERS)/$*
	@$(PEERS)/$*/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "The tests of the page need Node.js 20 or later with npm."; exit 1; }
	@npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || { \
		echo "Installing Chromium from Debian's packages ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || { \
		echo "The browser tests need Chromium. As root: apt-get install chromium"; exit 1; }

.PHONY: firefox
firefox:
	@command -v firefox-esr >/dev/null || command -v firefox >/dev/null || { \
		echo "Installing Firefox from Debian's packages ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends firefox-esr >/dev/null; } || { \
		echo "The browser tests need Firefox. As root: apt-get install firefox-esr"; exit 1; }
