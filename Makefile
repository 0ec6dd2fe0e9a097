# Every target sets up .venv by itself when needed.  `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Operators run single-threaded and the code uses cores itself; several test workers must not fight over them.
export OMP_NUM_THREADS = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak chaos reliability bench lint format clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed ## create .venv and install VoiceFlow with everything that developing it needs

# pip with constraints: an unpinned torch brings gigabytes of CUDA, an unpinned fastapi breaks Prefect's server.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup ## train, evaluate and export a small model on synthetic voices: the whole chain, on CPU, in minutes
	$(BIN)/voiceflow run --config demo

test: setup ## run every test
	$(BIN)/pytest -n 2 --dist loadgroup

soak: setup ## train on 2 GB streamed, with nothing written and constant RAM; minutes
	VOICEFLOW_SOAK_MB=2000 $(BIN)/pytest tests/data/test_diskless.py -s -n 0 -o timeout=1800

chaos: setup ## a Prefect server, workers that die, and nobody watching; minutes
	$(BIN)/pytest tests/chaos -s -n 0 -o timeout=1800

reliability: setup ## write the tables of faults in docs/reliability.md anew
	VOICEFLOW_WRITE_DOCS=1 $(BIN)/pytest tests/runs/test_fault_matrix.py -n 0

# SPEECH: a folder of <speaker>/*.flac; without it, the embedded voices.
bench: setup ## the input pipeline against the obvious loop, and what resuming costs; 20 minutes, idle machine wanted
	$(BIN)/python -m benchmarks.stream $(if $(SPEECH),--speech $(SPEECH))
	$(BIN)/python -m benchmarks.resume $(if $(SPEECH),--speech $(SPEECH))

lint: setup ## ruff and mypy --strict, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv and what the demo left
	rm -rf $(VENV) voiceflow-store
