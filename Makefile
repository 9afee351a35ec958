# Every command does its own set-up. `make help` lists them.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
READY := .venv/.ready
KEEP ?=
BASE ?=
TAG ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo example test test-long conformance chaos lint format up down bench bench-engine bench-ledger bench-pipeline bench-serving images images-base images-load cluster cluster-down cluster-upstream deploy backup restore cluster-demo lock compile proto clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment .venv from requirements.lock

# --without-pip and pip's --python need neither root nor Debian's python3-venv.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY) ## Tell the whole story on real data (KEEP=1 leaves it running)
	$(BIN)/turnout demo $(if $(KEEP),--keep)

example: $(READY) ## Run an example from its data to an answer (NAME=, see examples/)
	$(BIN)/python -m examples $(NAME)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile --hypothesis-profile=ci

test-long: $(READY) ## Run all tests, also those that take minutes
	$(BIN)/python -m pytest

chaos: $(READY) ## Three minutes of load, kills and changes; figures in bench/out/chaos.json
	$(BIN)/python -m tests.chaos

conformance: $(READY) ## Test the engine, or the cluster of KUBECONFIG, through the Kubernetes API
	$(BIN)/python -m tests.conformance

lint: $(READY) ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compile: $(READY) ## Compile the pipelines to YAML
	$(BIN)/python -m pipelines.compile

proto: $(READY) ## Generate the gRPC messages anew
	cd src && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
	  turnout/predictor/over_grpc/open_inference.proto

up: $(READY) ## Start the embedded engine
	$(BIN)/turnout up

down: $(READY) ## Stop the embedded engine
	$(BIN)/turnout down

bench: $(READY) ## Run the benchmarks; tables here, figures in bench/out
	$(BIN)/python -m bench

bench-serving: $(READY) ## The predictor beside its peers (needs wrk and a C compiler; 20 minutes)
	$(BIN)/python -m bench.serving

images: ## Build the container images (BASE=, TAG=, REGISTRY=; docker, podman or buildah)
	TAG="$(TAG)" BASE="$(BASE)" images/build.sh

images-base: ## Make a base image from Debian's packages, for `make images BASE=...` (root, debootstrap, buildah)
	images/base.sh $(BASE)

images-load: ## Put the images into the kind cluster (or LOADER="COMMAND" that takes archives)
	TAG="$(TAG)" images/load.sh

cluster: $(READY) ## Make a kind cluster with everything in it (KFP=1: Kubeflow Pipelines, too)
	$(BIN)/python -m cluster up $(if $(KFP),--kfp)

cluster-down: $(READY) ## Delete the kind cluster
	$(BIN)/python -m cluster down

cluster-upstream: $(READY) ## Install what Turnout stands on into the cluster of KUBECONFIG (KFP=1)
	$(BIN)/python -m cluster upstream $(if $(KFP),--kfp)

deploy: $(READY) ## Install or update Turnout on the cluster of KUBECONFIG (CONTEXT=, OVERLAY=)
	$(BIN)/python -m cluster deploy

backup: $(READY) ## Databases and objects of the cluster into FOLDER=
	$(BIN)/python -m cluster backup $(FOLDER)

restore: $(READY) ## The reverse of backup
	$(BIN)/python -m cluster restore $(FOLDER)

cluster-demo: $(READY) ## Tell the whole story on the cluster of KUBECONFIG (PIPELINES=local|kfp, KEEP=1)
	$(BIN)/python -m cluster demo $(if $(PIPELINES),--pipelines $(PIPELINES)) $(if $(KEEP),--keep)

bench-engine: $(READY) ## A hundred versions on one engine; table, bench/out/engine.json (a minute)
	$(BIN)/python -m bench.engine

bench-decision: $(READY) ## Hold the decision against its bars (about 45 minutes); table, bench/out/decision.json
	$(BIN)/python -m bench.decision

bench-ledger: $(READY) ## Ten million predictions on SQLite and PostgreSQL (13 minutes); table, bench/out/ledger.json
	$(BIN)/python -m bench.ledger

bench-pipeline: $(READY) ## The gate, the cost of a step, ten million rows (22 minutes; SHARE=0.1 for less); gate.json, pipeline.json, scale.json
	$(BIN)/python -m bench.pipeline $(if $(SHARE),--share $(SHARE))

lock: ## Resolve requirements.lock anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## Remove what was made here
	rm -rf .venv .turnout bench/out
