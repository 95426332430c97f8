# Every target creates .venv and installs the project, but only the first time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: install search test lint bench
install: $(READY)

$(READY):
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,dev]'
	touch $@

# make search ARGS="--quick", or TASK=mnist_keras
TASK ?= fashion_keras
search: $(READY)
	@echo "On two cores a search takes about 5 minutes, on MNIST 7, and says the time left as it goes;"
	@echo "with ARGS=--quick it takes less than one."
	$(BIN)/python -m $(TASK).search $(ARGS)

test: $(READY)
	@echo "The tests take five to seven minutes on two cores. For a file: make test ARGS='-n 0 tests/test_docs.py'"
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m mypy

bench: $(READY)
	$(BIN)/python -m benchmarks.epoch --rounds 5
	$(BIN)/python -m benchmarks.twin --rounds 5 # needs PyTorch
