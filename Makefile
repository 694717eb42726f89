# Two commands do all the set-up on a fresh Debian machine with Python 3.11 to 3.13:
#   make demo    install what is missing, then new -> run-exp -> build-pdf in a new folder under demo/
#   make test    ruff, mypy and the tests
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ifndef DEMO
DEMO := demo/paper-$(shell date +%Y%m%d-%H%M%S)
endif
export TOKENIZERS_PARALLELISM := false
# Tests of one file stay on one process: what they share is set up once.
IN_PARALLEL := -n logical --dist loadfile

TEX_PACKAGES := texlive-latex-recommended texlive-fonts-recommended cm-super-minimal latexmk poppler-utils
TEX_VENUES := texlive-publishers texlive-science texlive-latex-extra texlive-xetex texlive-lang-chinese \
	texlive-bibtex-extra biber lmodern texlive-plain-generic texlive-fonts-extra latexdiff
TEX_PROGRAMS := pdflatex bibtex kpsewhich pdftoppm pdftotext
TEX_FILES := natbib.sty booktabs.sty microtype.sty hyperref.sty mathptmx.sty caption.sty float.sty sftt1000.pfb t1xtt.pfb
VENUE_PROGRAMS := xelatex biber latexdiff
VENUE_FILES := IEEEtran.cls acmart.cls libertine.sty newtxmath.sty revtex4-2.cls elsarticle.cls llncs.cls lmodern.sty \
	environ.sty forloop.sty algorithmic.sty lineno.sty biblatex.sty ieee.bbx mylatexformat.ltx ctexart.cls \
	FandolSong-Regular.otf siunitx.sty cleveref.sty

CLUSTER_PACKAGES := slurm-wlm iproute2
CLUSTER_HOSTS := tests/cluster/test_two_hosts.py
CLUSTER_PROGRAMS := slurmctld slurmd sbatch srun ip

.PHONY: help demo test test-slow test-cluster lint format install install-dev tex tex-venues venv docs

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: install tex ## Install what is missing, then make a paper from nothing and say where its PDF is
	mkdir -p demo
	$(BIN)/papergen new "$(DEMO)" --title "Decoding a Small Language Model" --author "A. Researcher; Example University"
	cd "$(DEMO)" && time "$(abspath $(BIN))/papergen" run-exp
	cd "$(DEMO)" && time "$(abspath $(BIN))/papergen" build-pdf
	@echo "The paper: $(abspath $(DEMO))/build/$(notdir $(DEMO)).pdf"

test: install-dev tex lint ## Run ruff, mypy and the tests
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not slow and not gpu and not cluster"

test-slow: install-dev $(VENV)/.installed-checkpoint tex ## Run the tests that take longer
	$(BIN)/python -m pytest -m "(slow or gpu) and not cluster"

test-cluster: install-dev ## Run the tests against a real SLURM and two network namespaces; as root
	@missing=; \
	for program in $(CLUSTER_PROGRAMS); do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ]; then \
		echo "The cluster tests lack:$$missing"; \
		$(call apt,$(CLUSTER_PACKAGES)); \
	fi
	@if [ "$$(id -u)" != 0 ]; then echo "Not root: every cluster test will be skipped, with its reason" >&2; fi
	@# Both mostly wait, and have nothing in common: side by side, the second one's words after the first one's.
	@hosts=$$(mktemp); \
	$(BIN)/python -m pytest -m cluster -rs -p no:cacheprovider $(CLUSTER_HOSTS) >"$$hosts" 2>&1 & job=$$!; \
	trap 'kill $$job 2>/dev/null || true; rm -f "$$hosts"' EXIT; \
	status=0; \
	$(BIN)/python -m pytest -m cluster -rs tests/cluster --ignore=$(CLUSTER_HOSTS) || status=$$?; \
	wait $$job || status=$$?; \
	cat "$$hosts"; exit $$status

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install-dev ## Let ruff lay out the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install ## Write docs/cli.md from the commands' help
	$(BIN)/python docs/generate.py

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# A stamp per set of packages: they are installed again only when what is asked for changed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14), "papergen needs Python 3.11 to 3.13, found " + sys.version'
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(call apt,python3-venv); \
	fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# A pretrained BERT in safetensors, for the slow tests only.
$(VENV)/.installed-checkpoint: $(VENV)/.installed-dev
	$(PIP) install --quiet --constraint constraints.txt --editable '.[checkpoint]'
	touch $@

tex: ## Install the minimal TeX tier where it is missing
	@$(call tex_tier,$(TEX_PROGRAMS),$(TEX_FILES),$(TEX_PACKAGES))

tex-venues: tex ## Install the TeX of all venues, about 2.5 GB: their tests skip without it
	@$(call tex_tier,$(VENUE_PROGRAMS),$(VENUE_FILES),$(TEX_VENUES))

# Install packages (3) unless these programs (1) and TeX files (2) are there, and say so when they still are not.
define tex_tier
missing() { \
	for program in $(1); do command -v $$program >/dev/null || echo $$program; done; \
	for file in $(2); do kpsewhich $$file >/dev/null 2>&1 || echo $$file; done; \
}; \
lacks=$$(missing); \
if [ -n "$$lacks" ]; then \
	echo "TeX lacks:" $$lacks; \
	$(call apt,$(3)); \
	lacks=$$(missing); \
	if [ -n "$$lacks" ]; then echo "TeX still lacks:" $$lacks >&2; exit 3; fi; \
fi
endef

# Install Debian packages as root or by sudo; otherwise print the exact line and stop with exit 3.
define apt
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1); \
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1); \
else \
	echo "Run this line, then the same make command again:" >&2; \
	echo "  sudo apt-get install --no-install-recommends $(1)" >&2; \
	exit 3; \
fi
endef
