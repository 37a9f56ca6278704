# Everything that one does with this project; `make` alone lists it. CI calls nothing but these.
ENV ?= local
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without cached bytecode the imports of the CDK library alone cost seconds at every start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
CDK := node node_modules/aws-cdk/bin/cdk
# A file is the unit of work: those that share a server keep it, and the slow ones, of the integration tests, come first.
PYTEST := python -m pytest -n 4 --dist loadfile --no-loadscope-reorder
CONFIRMED = $(if $(filter 1 y yes true,$(YES)),--yes)

.DEFAULT_GOAL := help
.PHONY: help setup deploy verify destroy synth diff test unit integration snapshot-update check bench lock clean
.SILENT:

help: ## List the commands
	printf 'make TARGET [ENV=local|dev|staging|prod] [YES=1]\n\n'
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install what is missing into .venv and node_modules
	test -n "$(PYTHON)" || { \
		echo "error: no Python 3.11 or newer was found as python3, python3.11 … python3.14" >&2; \
		echo "  install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) tools/set_up.py

deploy: setup ## Deploy the catalog to ENV and verify it
	fleet deploy --env $(ENV) $(CONFIRMED)

verify: setup ## Compare ENV with the catalog
	fleet verify --env $(ENV)

destroy: setup ## Remove ENV, all but what is retained
	fleet destroy --env $(ENV) $(CONFIRMED)

synth: setup ## Write the CloudFormation templates of ENV to cdk.out
	$(CDK) synth --quiet -c env=$(ENV)

diff: setup ## Show what a deployment to ENV would change
	fleet diff --env $(ENV)

test: setup ## Run every test
	$(PYTEST)

unit: setup ## Run the fast tests: no servers, no CDK CLI
	$(PYTEST) -m "not integration"

integration: setup ## Run the tests that start servers and the CDK CLI
	$(PYTEST) -m integration

snapshot-update: setup ## Accept the templates as they are now
	python -m pytest tests/snapshot --snapshot-update

check: setup ## Format, lint, types, import rules, generated files
	python tools/check.py

bench: setup ## Make every measurement of docs/benchmarks.md
	python -m bench

lock: setup ## Resolve requirements.in and package.json anew
	uv pip compile requirements.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --upgrade --quiet --output-file requirements.txt
	uv pip compile requirements-functions.in --constraint requirements.txt --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet --output-file requirements-functions.txt
	for image in runtime gateway; do \
		uv pip compile requirements-$$image.in --constraint requirements.txt --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet \
			--output-file requirements-$$image.txt || exit 1; done
	npm install --package-lock-only --ignore-scripts

clean: ## Remove everything that can be made again; what runs here stops first
	if [ -x .venv/bin/fleet ]; then fleet local down || true; fi
	rm -rf .venv node_modules .build .local .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache cdk.out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
