# Each target does all that it needs by itself: a virtual environment beside the code, then the command.
# Only python3 (3.11) and make are expected to be there.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python
# Two processes, each a file at a time: a file's tests share what they compile. The quick files come last, so that both
# end together.
TEST := $(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup quick test lint format bench

# Both frameworks, Keras, TensorBoard, ONNX, what the examples use, and the tools, in the versions of constraints.txt. The wheel of datasets is what
# tests/test_wheel.py installs ours beside.
setup: $(INSTALLED)

# The stamp is written last, so an installation that was cut off is done again.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[all,peers,tensorboard,onnx,examples,dev]'
	$(RUN) -m pip download --quiet --constraint constraints.txt --no-deps --dest $(VENV)/wheels datasets
	touch $@

# While you work: every part of the project, but no test that is marked slow. Nothing is compiled by PyTorch.
quick: $(INSTALLED)
	$(TEST) -m "not slow"

# Every test. What lands has passed this and lint: .ci/run.
test: $(INSTALLED)
	$(TEST)

# What can be said of the code without running it: style, order, types. It changes nothing.
lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# Mends what ruff can mend of it.
format: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# Trains the tutorial's example with JAX in each execution, and says what each costs.
bench: $(INSTALLED)
	$(RUN) -m bench --backend jax
