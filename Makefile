# Darkroom: `make demo` shows it, `make test` proves it. Everything is installed into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
UV := uv==0.13.8
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Without it every command would compile the packages anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALLED := .venv/installed
# The build of torch: cpu, cu126 ... (untested); empty: the locked one, which on Linux is NVIDIA's.
# What is installed is kept; another one makes .venv anew.
BUILD := $(shell cat $(INSTALLED) 2>/dev/null)
TORCH ?= $(BUILD)
ifneq ($(TORCH),$(BUILD))
$(INSTALLED): FORCE
endif

SEED ?= 1
# What its image has of what predicts; neither isal, ruamel.yaml nor simplejpeg.
KAGGLE := torch==2.6.0 torchvision==0.21.0 numpy==1.26.4 opencv-python-headless==4.10.0.84 pandas==2.2.3 \
  pyarrow==19.0.1 pillow==11.2.1 pydantic==2.11.4 requests==2.32.3 urllib3==2.4.0 safetensors==0.5.3 tqdm==4.67.1 \
  scipy==1.15.3 scikit-learn==1.5.2 huggingface-hub==0.31.1

# Tests run in as many processes as there are cores, a file in one process.
# A worker that dies ends the run: one that is replaced can leave it waiting for ever.
PYTEST := python -m pytest --numprocesses auto --dist loadfile --max-worker-restart 0

.PHONY: help install demo repro test test-fast test-low test-kaggle test-all faults safety cov check format bench \
  profile report tensorboard schema deps docs lock clean FORCE

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED) ## Make .venv with the locked packages and this one

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Darkroom needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Installing into .venv: $$(grep -c == requirements.lock) packages, and nothing outside of it. To compile them"
	@echo "at the end takes half a minute in which nothing is printed."
ifeq ($(TORCH)$(shell uname -s),Linux)
	@echo "They take 6.6 GB. 4 GB are for NVIDIA's GPUs: PyPI has no other build of torch for Linux, so they"
	@echo "come with or without a GPU. On a small disk or a slow line: make $(MAKECMDGOALS) TORCH=cpu (untested)."
endif
	$(PYTHON) -m venv $(if $(filter-out $(BUILD),$(TORCH))$(filter-out $(TORCH),$(BUILD)),--clear) .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
ifeq ($(TORCH),)
	.venv/bin/uv pip install --python .venv/bin/python --require-hashes --compile-bytecode -r requirements.lock
else
	sed -E 's/ *\\$$//; /^ +(--hash|#)/d; /^(nvidia|cuda|triton)-?/d' requirements.lock > .venv/requirements.txt
	.venv/bin/uv pip install --python .venv/bin/python --torch-backend $(TORCH) --compile-bytecode -r .venv/requirements.txt
endif
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
	@echo '$(TORCH)' > $@

demo: install ## Run the three competitions on the drawn sample, and show what came out
	dvc repro
	darkroom summary

repro: install ## Run what params.yaml asks for, and only what changed
	dvc repro

test: install ## Run the tests, but for many rounds and full sizes
	$(PYTEST) -m "not long"

test-fast: install ## Run the tests that take less than a second or two each
	$(PYTEST) -m "not slow"

test-low: ## Run the fast tests with the oldest packages that pyproject.toml allows, in .venv-low
	$(PYTHON) -m venv .venv-low
	.venv-low/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	.venv-low/bin/uv pip install --python .venv-low/bin/python --resolution lowest-direct --editable '.[all,dev]'
	.venv-low/bin/python -m pytest -m "not slow" -o filterwarnings=default --disable-warnings

test-kaggle: install ## Run bundles with Python and packages as in Kaggle's image, in .venv-kaggle (6 GB); fetches wheels
	.venv/bin/uv venv --quiet --allow-existing --python 3.11 .venv-kaggle
	.venv/bin/uv pip install --quiet --python .venv-kaggle/bin/python pip $(KAGGLE)
	DARKROOM_KAGGLE_PYTHON=$(CURDIR)/.venv-kaggle/bin/python python -m pytest tests/deploy/test_kaggle_image.py

test-all: install ## Run every test, with more rounds of each scenario
	$(PYTEST) --rounds 30 --hypothesis-profile thorough

faults: install ## Attack every stage and file: kills, full disks, damage, odd environments; SEED=2 for others
	$(PYTEST) tests/faults -m long --seed $(SEED)

safety: install ## Take out each of 54 lines that keep data safe, and see whether the tests notice
	python -m tests.faults.safety_lines

cov: install ## Measure what the fast tests cover, and hold it against the floor
	$(PYTEST) -m "not slow" --cov --cov-report term

check: install ## Lint, formatting, types, and the parameters' schema
	ruff check .
	ruff format --check .
	mypy
	mypy --platform win32 --cache-dir .mypy_cache/win32 src  # names that Windows lacks
	mypy --platform darwin --cache-dir .mypy_cache/darwin src
	darkroom schema | diff -u params.schema.json - || { echo "run: make schema" >&2; exit 1; }

format: install ## Format the code and mend what the linter can
	ruff check --fix .
	ruff format .

# A file a question; each prints ours, the peers, the limit, and which goals are met.
BENCHMARKS := loader loader_augmented celeba preprocess index_audit startup dvc submission rle \
  evaluate_predict train_step frozen augment alignment threshold_edit scale

bench: install ## Measure speed beside other tools and beside the machine's limits; BENCHMARKS=loader for one
	for name in $(BENCHMARKS); do echo "== $$name"; python -m benchmarks.$$name || exit 1; done

profile: install ## Show where a short training spends its time
	python -m benchmarks.profile

report: install ## Write a page on each run: scores, classes, the worst pictures, what changed since the last commit
	darkroom report

tensorboard: install ## Open every training run
	tensorboard --logdir runs --host 127.0.0.1 --samples_per_plugin images=1000,pr_curves=1000

schema: install ## Write params.schema.json anew
	darkroom schema > params.schema.json

deps: install ## Write the code dependencies of dvc.yaml anew, from the imports
	python -m tests.support.dvc_deps

docs: install ## Build site/ from README.md and docs/
	rm -rf .darkroom/docs && mkdir -p .darkroom/docs
	cp -R docs/. CHANGELOG.md CONTRIBUTING.md SECURITY.md .darkroom/docs
	sed 's#(docs/#(#g' README.md > .darkroom/docs/index.md
	sed -i.bak 's#(\.\./README\.md#(index.md#g; s#(\.\./#(#g; s#(docs/#(#g' .darkroom/docs/[a-zC-S]*.md
	rm -f .darkroom/docs/*.bak
	NO_MKDOCS_2_WARNING=1 uv tool run --quiet --from mkdocs==1.6.1 --with mkdocs-material==9.8.2 mkdocs build --strict --quiet
	@echo "site/index.html; to search it: python -m http.server --directory site"

lock: install ## Resolve pyproject.toml into requirements.lock
	uv pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --quiet --output-file requirements.lock

clean: ## Remove half-done work and the tools' caches; results stay
	rm -rf .darkroom .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
