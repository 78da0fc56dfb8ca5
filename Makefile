# fewbits: everything a newcomer needs. `make` lists it.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock
# Vectors of the reference libraries that run on JAX, too; .ci/run names all of them.
JAX_TESTS ?= tests/golden/test_libraries_batchnorm.py tests/golden/test_libraries_cnn2snn.py \
	tests/golden/test_libraries_quantizeml.py
# Embedded services of `make serve` keep what they store here.
export FEWBITS_HOME ?= $(CURDIR)/var

EXTRAS = $(shell $(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies'].keys())")
LOCK := --quiet --constraint requirements.lock --generate-hashes --universal --python-version 3.11.5 --no-header --no-annotate

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage tools vendor layers lint eslint pictures client bench docs figures fuzz locks sbom audit release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fewbits needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "no virtual environment could be made; on Debian: apt install python3-venv"; exit 1; }

.venv/installed: pyproject.toml requirements.lock | .venv/bin/python
	@echo "installing fewbits and TensorFlow into .venv (once; a few minutes)"
	@$(PIP) --editable '.[worker]'
	@touch $@

.venv/installed-dev: pyproject.toml requirements.lock | .venv/bin/python
	@echo "installing fewbits, TensorFlow and the development tools into .venv (once; a few minutes)"
	@$(PIP) --editable '.[dev]'
	@touch $@ .venv/installed

demo: .venv/installed ## run the example search end to end; results in ./demo-out
	@$(BIN)/python examples/demo.py

serve: .venv/installed ## run API, dashboard and worker on http://127.0.0.1:8765 until Ctrl-C
	@$(BIN)/fewbits serve

test: .venv/installed-dev ## run the tests (those that need a server or browser are skipped where there is none)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)
	@echo "the layer libraries again, on JAX"
	@KERAS_BACKEND=jax $(BIN)/python -m pytest -n 2 --dist worksteal -q $(JAX_TESTS)

# Counting more than doubles the time of tests that run Python alone: the workflow of the forge does it, `.ci/run` does not.
coverage: ## the same, and count the lines that they run; fails below 85 %
	@$(MAKE) --no-print-directory test PYTEST_ARGS="--cov --cov-report=term:skip-covered --cov-fail-under=85 $(PYTEST_ARGS)"

tools: .venv/installed-dev ## make environments of hls4ml, cnn2snn, Rockpool and QKeras; record verdicts that are missing
	@$(BIN)/python -m tools.export_environments
	@$(BIN)/python -m tests.truth.tools.record --missing

layers: .venv/installed-dev ## write docs/supported-layers.md out of the table of layers
	@$(BIN)/python -m tools.supported_layers

vendor: ## fetch the dashboard's libraries anew, as their list says
	@python3 tools/vendor.py

lint: .venv/installed-dev ## ruff, codespell, mypy --strict, the import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@git ls-files -z '*.md' '*.py' '*.js' '*.yml' '*.yaml' '*.toml' ':!tests' ':!*/vendor/*' | xargs -0 $(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports

eslint: var/eslint/node_modules/.bin/eslint ## the rules of eslint.config.mjs for the dashboard's modules (needs node and npm)
	@var/eslint/node_modules/.bin/eslint service/dashboard tests/dashboard eslint.config.mjs

var/eslint/node_modules/.bin/eslint:
	@npm install --prefix var/eslint --ignore-scripts --no-audit --no-fund --silent eslint@10.15.0

pictures: .venv/installed-dev ## take the pictures of the dashboard in the documentation anew (needs Chromium; runs a search)
	@$(BIN)/python -m tests.browser.pictures

client: .venv/installed-dev ## generate the client without an event loop from the one with
	@$(BIN)/python -m service.client.generate

bench: .venv/installed-dev ## run every benchmark in its quick form
	@for name in main_job costmodel layers speed search_quality peers front upload api exports worst_requests; do \
		echo "== $$name"; $(BIN)/python -m benchmarks.$$name --quick || exit 1; done

docs: .venv/installed-dev ## build the documentation site into site-out; every warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

figures: .venv/installed-dev ## check the figures that the documentation quotes; FIGURES="--run groups --data FOLDER" measures them again
	@$(BIN)/python -m benchmarks.figures $(FIGURES)

fuzz: .venv/installed-dev ## schemathesis with keys of three scopes against a service with a worker, then what large requests cost, then a tenant beside a hostile one; half an hour
	@$(BIN)/python -m tests.security.fuzz --examples 20 --no-color --request-timeout 20 --phases examples,coverage,fuzzing,stateful
	@FEWBITS_TEST_REQUESTS=400 $(BIN)/python -m pytest -n0 -q --timeout 3600 tests/security/test_cost_of_requests.py
	@FEWBITS_TEST_REQUESTS=1 $(BIN)/python -m pytest -n0 -q --timeout 3600 tests/worker/test_undisturbed.py

release: .venv/installed-dev ## build wheels, sdists and SBOMs into dist, try each in a clean environment; publishes nothing
	@$(BIN)/python -m tests.packages.release
	@$(MAKE) --no-print-directory sbom SBOM=dist

locks: .venv/installed-dev ## requirements/*.txt: the locked versions with hashes, one file for each extra
	@$(PIP) uv
	@for extra in $(filter-out tflite,$(EXTRAS)); do $(BIN)/uv pip compile pyproject.toml --extra $$extra $(LOCK) -o requirements/$$extra.txt || exit 1; done
	@$(BIN)/uv pip compile pyproject.toml --extra tflite $(filter-out --universal,$(LOCK)) -o requirements/tflite.txt
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements/api.txt
	@printf 'setuptools>=77\nwheel\n' | $(BIN)/uv pip compile - $(LOCK) -o requirements/build.txt

SBOM ?= .
sbom: .venv/installed-dev ## what the images contain, in CycloneDX: sbom-api.json, and what the worker has besides, sbom-worker.json
	@$(PIP) cyclonedx-bom
	@$(BIN)/cyclonedx-py requirements requirements/uploads.txt --pyproject pyproject.toml --output-reproducible -o $(SBOM)/sbom-api.json
	@$(BIN)/cyclonedx-py requirements requirements/worker.txt --pyproject pyproject.toml --output-reproducible -o $(SBOM)/sbom-worker.json

audit: .venv/installed-dev ## known vulnerabilities of the locked versions (needs the public advisory service)
	@$(PIP) pip-audit && $(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip

clean: ## remove what the targets made
	rm -rf .venv demo-out var dist site-out sbom-*.json .coverage* .pytest_cache .mypy_cache .ruff_cache
