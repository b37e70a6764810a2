# Everything here sets itself up: each environment is a virtual one, made from a lock file in requirements/.
#   .venv-serve  what answers requests (no torch, transformers, pandas or scipy)
#   .venv-dev    everything: data, training, tests, checks
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SERVE := .venv-serve/bin
DEV := .venv-dev/bin
PORT ?= 3000
CONFIG ?= training/configs/minilm.yaml
WORKERS ?= 1

export PYTHONPATH := $(CURDIR)
export BENTOML_DO_NOT_TRACK := True
# uv looks where pip would look for local wheels (a CPU build of torch, say)
export UV_FIND_LINKS ?= $(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null)
export UV_INDEX_STRATEGY := unsafe-best-match

.PHONY: help serve test check format data overlap train export evaluate bench bench-abuse bench-accuracy keys drain clusters build lock clean notebooks

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

serve: $(SERVE)/.ready ## set up and serve on :3000 (PORT=…), with an embedded Redis unless REDIS_URL is set
	exec $(SERVE)/bentoml serve serving.service:Weir --port $(PORT)

test: $(DEV)/.ready ## set up and run every test
	$(DEV)/pytest

check: $(DEV)/.ready ## format, lint, types, import layers
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/lint-imports

format: $(DEV)/.ready ## rewrite the code in the one format
	$(DEV)/ruff format .
	$(DEV)/ruff check --fix .

data: $(DEV)/.ready ## build the dataset into var/dataset (WEIR_DATA_DIR=… for a local mirror)
	$(DEV)/python -m data.build

overlap: $(DEV)/.ready ## prove that no training row resembles an evaluation row
	$(DEV)/python -m data.overlap --dataset var/dataset

train: $(DEV)/.ready ## fine-tune (CONFIG=…) on var/dataset; a second call goes on where the first stopped
	$(DEV)/python -m training.train --config $(CONFIG)

export: $(DEV)/.ready ## turn the finished run of CONFIG into a verified bundle under var/bundles
	$(DEV)/python -m training.export --run var/runs/$$($(DEV)/python -c "import sys,yaml;print(yaml.safe_load(open(sys.argv[1]))['name'])" $(CONFIG))

evaluate: $(DEV)/.ready ## evaluate the production bundle on the public sets of WEIR_DATA_DIR
	$(DEV)/python -m training.evaluate --bundle production --data $${WEIR_DATA_DIR:?names a mirror of the public corpora}/eval \
		--scores var/evaluation/scores.parquet --report var/evaluation/report.json --html var/evaluation/report.html

bench: $(DEV)/.ready ## benchmarks, each against its peer or limit, as ratios
	$(DEV)/python -m benchmarks.gateway
	$(DEV)/python -m benchmarks.limiter

bench-abuse: $(DEV)/.ready ## attackers and honest callers on a virtual clock, against the real limits (SEEDS=11-15)
	$(DEV)/python -m benchmarks.abuse.run --seeds $${SEEDS:-11-15}

bench-accuracy: $(DEV)/.ready ## our bundle beside other guards on the public sets of WEIR_DATA_DIR, into docs/accuracy.md
	$(DEV)/python -m benchmarks.accuracy.run --data $${WEIR_DATA_DIR:?names a mirror of the public corpora}/eval

drain: $(SERVE)/.drain ## move logged events from Redis to Parquet under var/events
	$(SERVE)/python -m data.events drain

clusters: $(DEV)/.ready ## find attack clusters in drained events; a report and a bundle under var/clusters
	$(DEV)/python -m training.cluster --events var/events

build: $(SERVE)/.ready ## make a Bento
	$(SERVE)/bentoml build

notebooks: $(DEV)/.ready ## execute the notebooks
	$(DEV)/pytest tests/e2e/test_notebooks.py

lock: $(DEV)/.ready ## resolve pyproject.toml anew into requirements/
	$(DEV)/uv pip compile -q --no-header --no-annotate pyproject.toml -o requirements/serve.txt
	$(DEV)/uv pip compile -q --no-header --no-annotate --extra drain -c requirements/serve.txt pyproject.toml -o requirements/drain.txt
	sed -i '/^torch==/d' requirements/dev.txt # a pin without +cpu would be preferred, and with it gigabytes of CUDA
	$(DEV)/uv pip compile -q --no-header --no-annotate --extra dev -c requirements/serve.txt pyproject.toml -o requirements/dev.txt
	sed -i -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' requirements/dev.txt

clean: ## remove the environments and everything under var/
	rm -rf .venv-serve .venv-dev var

# An environment is ready when its lock file has been installed; a changed lock installs what changed.
$(SERVE)/.ready: requirements/serve.txt
	test -x $(SERVE)/python || $(PYTHON) -m venv .venv-serve
	$(SERVE)/pip install --quiet uv==0.13.9
	$(SERVE)/uv pip install --quiet --python $(SERVE)/python -r requirements/serve.txt
	touch $@

$(SERVE)/.drain: requirements/drain.txt $(SERVE)/.ready
	$(SERVE)/uv pip install --quiet --python $(SERVE)/python -r requirements/drain.txt
	touch $@

$(DEV)/.ready: requirements/dev.txt
	test -x $(DEV)/python || $(PYTHON) -m venv .venv-dev
	$(DEV)/pip install --quiet uv==0.13.9
	$(DEV)/uv pip install --quiet --python $(DEV)/python -r requirements/dev.txt
	touch $@
