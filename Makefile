# Each target does all that it needs by itself: a virtual environment beside the code, then the command.
# Only python3 (3.11) and make are expected to be there.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
RUN := $(VENV)/bin/python

.PHONY: setup bench test lint format
setup: $(INSTALLED)

# The stamp is written last, so an installation that was cut off is done again.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[all,peers,tensorboard,dev]'
	$(RUN) -m pip download --quiet --constraint constraints.txt --no-deps --dest $(VENV)/wheels datasets
	touch $@

bench: $(INSTALLED)
	$(RUN) -m bench --backend jax

# Two processes, each a file at a time: a file's tests share what they compile. The quick files come last, so that both
# end together.
test: $(INSTALLED)
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(INSTALLED)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .
