# Everything here works from a fresh clone: each target first brings what it needs.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help setup up test test-browser test-cluster test-replicas lint types fmt bench screenshots soak image wheel clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup:
	@$(PYTHON) tools/setup.py

up: setup ## Set up what is missing, then run the board on http://127.0.0.1:8000 (ARGS="--port 9000 --no-browser")
	@$(BIN)/vibe up $(ARGS)

test: setup ## Set up what is missing, then check style and types and run the tests (PYTEST="-k board")
	@$(BIN)/vibe setup
	@$(BIN)/python tools/postgres.py
	@$(BIN)/python tools/redis_server.py
	@$(BIN)/python tools/sshd.py
	@$(BIN)/python tools/check.py lint types pytest -- $(PYTEST)

test-browser: setup ## Try the pages in a real browser, with real servers and the real OpenCode
	@$(BIN)/vibe setup
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/sshd.py
	@$(BIN)/python tools/check.py browser

test-cluster: setup ## Try pods with their real processes, the container image and the wheel (needs root; brings podman)
	@$(BIN)/vibe setup
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/podman.py
	@$(BIN)/python tools/sshd.py
	@$(BIN)/python tools/check.py cluster

test-replicas: setup ## Try several servers and workers, and the soaks in short: replicas killed, frozen and cut off
	@$(BIN)/vibe setup
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/postgres.py
	@$(BIN)/python tools/redis_server.py
	@$(BIN)/python tools/check.py replicas

lint: setup ## Check style and who imports whom
	@$(BIN)/python tools/check.py lint

types: setup ## Check types
	@$(BIN)/python tools/check.py types

fmt: setup ## Format the sources
	@$(BIN)/ruff check --fix-only . && $(BIN)/ruff format .

bench: setup ## Measure what docs/performance.md promises
	@$(BIN)/vibe setup
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/postgres.py
	@$(BIN)/python -m bench $(ARGS)

screenshots: setup ## Take pictures of every page in build/screenshots (ARGS="--readme" renews those of README)
	@$(BIN)/vibe setup
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/screenshots.py $(ARGS)

soak: setup ## Kill, freeze and cut off replicas for some 20 min and check that nothing is lost (ARGS="--seed 5c1f")
	@$(BIN)/vibe setup
	@$(BIN)/python tools/postgres.py
	@$(BIN)/python -m soak $(ARGS)

image: ## Build the container image with podman or docker (ARGS="--tag registry.example.org/vibe:1")
	@$(PYTHON) tools/image.py $(ARGS)

wheel: setup ## Compile the pages and build the wheel into dist, with the versions it was tested with
	@$(BIN)/vibe setup
	@$(BIN)/python tools/wheel.py

clean: ## Remove what was built; the data folder .vibe stays
	rm -rf .web build dist tools/js/node_modules tools/js/.tried .pytest_cache .ruff_cache .import_linter_cache test-results
	find . -name __pycache__ -not -path './.venv/*' -not -path './.vibe/*' -prune -exec rm -rf {} +
