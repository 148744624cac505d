# The two commands of this project: `make run` and `make test`. Both set everything up first.
# `make quick` is `make test` without what takes long: for between two edits.
PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin
# A folder of data sets beside the checkout is used where it exists; TAILSCOPE_DATA overrides it.
export TAILSCOPE_DATA ?= $(if $(wildcard ../shared/data),$(abspath ../shared/data))

.PHONY: run test quick fuzz lint clean cluster-ray cluster-slurm

run: $(VENV)/.run
	@echo "Tailscope is at http://127.0.0.1:$(PORT) (stop it with Ctrl-C)"
	@$(BIN)/streamlit run app.py --server.address 127.0.0.1 --server.port $(PORT) --server.headless true >/dev/null

# Hundreds of processes of the tests load the same modules: what Python has compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadscope --no-loadscope-reorder --numprocesses

# Three processes on two cores, for journeys and tests of the queue wait half of their time.
# A cluster of its own comes last and alone: it is many processes by itself. To collect all other tests again takes ten seconds.
# What fails is run once more, alone: a fault fails again, a clock that a crowded machine upset does not. Both are shown.
test: $(VENV)/.test
	$(PYTEST) 3 -m "not cluster" || $(PYTEST) 0 -m "not cluster" --last-failed --last-failed-no-failures none
	$(PYTEST) 0 -m cluster tests/jobs || $(PYTEST) 0 -m cluster --last-failed --last-failed-no-failures none tests/jobs

quick: $(VENV)/.test
	TAILSCOPE_QUICK=1 $(PYTEST) 2 -m "not slow and not browser"

# Ten minutes of inputs that nobody wrote: readers, loaders of run files, imports, settings, losses and their laws.
fuzz: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.fuzz --minutes 10

lint: $(VENV)/.test
	$(BIN)/ruff check --config .ruff.toml .
	$(BIN)/ruff format --config .ruff.toml --check .
	$(BIN)/mypy --config-file .mypy.ini

# A cluster of two nodes on this machine, for trying out, until Ctrl-C. Slurm's is installed by apt and needs root.
cluster-ray: $(VENV)/.test
	$(BIN)/python -m tests.helpers.ray_cluster

cluster-slurm: $(VENV)/.test
	$(BIN)/python -m tests.benchmarks.slurm --serve

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Python compiles what is imported when it first is: of 19,000 files most never are.
$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Tailscope needs (a few minutes, only the first time) ..."
	$(BIN)/pip install -qq --no-compile --disable-pip-version-check -r requirements.txt
	@touch $@

# They name what `make run` needs as well: pip finds out once what fits together.
$(VENV)/.test: tests/requirements.txt requirements.txt | $(VENV)/bin/python
	@echo "Installing what Tailscope and its tests need (a few minutes, only the first time) ..."
	$(BIN)/pip install -qq --no-compile --disable-pip-version-check -r tests/requirements.txt
	@touch $(VENV)/.run $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
