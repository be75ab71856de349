# Nothing but make, bash and Docker is needed: every tool runs in the toolbox image (tests/toolbox).
# Where Docker, Compose or the base image is missing, the scripts in tests/platform step in; else they do nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export BASE_IMAGE ?= debian:trixie-slim
DOCKER_SOCKET ?= /var/run/docker.sock

DEMO := docker compose -p companion-demo -f compose.yaml -f compose.demo.yaml
ENGINE := docker compose -p companion-engine -f tests/chaos/compose.engine.yaml
LIMIT := timeout --foreground --kill-after 30

# A new tag, hence a new build, exactly when the tools change.
TOOLBOX := companion-toolbox:$(shell cat tests/toolbox/Dockerfile pyproject.toml | sha256sum | cut -c 1-12)

# The repository has the same path inside as outside: a bind mount that a test asks for means the same to the engine.
# TINI_...: Ctrl-C reaches every process inside, not only the first.
# PYTHONPYCACHEPREFIX: what is compiled once, libraries as pytest rewrites them too, is there for the next container.
IN_TOOLBOX = docker run --rm --init --network host --shm-size 512m $(MEMORY) \
	--user $(shell id -u):$(shell id -g) --group-add $(shell stat -Lc %g $(DOCKER_SOCKET)) \
	--volume $(DOCKER_SOCKET):/var/run/docker.sock --volume $(CURDIR):$(CURDIR) --workdir $(CURDIR) \
	--env TINI_KILL_PROCESS_GROUP=1 --env HOME=/tmp --env HYPOTHESIS_STORAGE_DIRECTORY=.cache/hypothesis \
	--env PYTHONPYCACHEPREFIX=$(CURDIR)/.cache/pycache --env BASE_IMAGE --env CI $(TOOLBOX)

# A module stays with one worker, which shares what its tests share; xdist would begin those of few tests last,
# though some take longest (tests/conftest.py).
BY_FILE := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help setup compose toolbox build demo-image engine-image up demo down check test chaos bench format clean

help: ## List what there is to make
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 16

setup: compose ## Install what the machine lacks: engine, Compose, base image
	@tests/platform/base-image.sh

compose:
	@tests/platform/engine.sh
	@tests/platform/compose.sh

toolbox: setup
	@$(LIMIT) 20 docker image inspect $(TOOLBOX) >/dev/null 2>&1 || { \
		echo "Building the toolbox image: once, some minutes"; \
		$(LIMIT) 1800 docker build --quiet --build-arg BASE_IMAGE --tag $(TOOLBOX) -f tests/toolbox/Dockerfile . >/dev/null; }

build: setup ## Build the stack's images
	$(LIMIT) 1800 docker compose build

demo-image: setup
	$(LIMIT) 1800 $(DEMO) build ca

engine-image: setup
	$(LIMIT) 1800 $(ENGINE) build

up: build ## Start the stack
	$(LIMIT) 600 docker compose up -d

demo: setup ## Show the stack at work with a certificate authority of its own
	tests/demo/demo.sh

down: compose ## Stop stack and demo; the stack's certificates stay
	$(LIMIT) 180 docker compose down
	$(LIMIT) 180 $(DEMO) down --volumes --remove-orphans

# Unit tests wait for no disk; whatever measures or needs a real one has it.
check: MEMORY := --tmpfs /tmp:exec
check: toolbox ## Format, lint, types, unit and golden tests: seconds
	@$(LIMIT) 300 $(IN_TOOLBOX) make -j --output-sync=target lint shell-lint types unit-tests

test: check ## Everything: check, what that leaves out, every ring against real binaries and containers
	@$(LIMIT) 600 $(IN_TOOLBOX) make thorough-tests letsencrypt-tests
	$(MAKE) build demo-image engine-image
	@$(LIMIT) 3600 $(IN_TOOLBOX) pytest $(BY_FILE) tests/acme tests/chaos tests/e2e tests/haproxy

chaos: toolbox build demo-image engine-image ## Let everything go wrong under load: a table of what that costs clients
	@$(LIMIT) 5400 $(IN_TOOLBOX) python -m tests.chaos.table

bench: toolbox build demo-image ## Measure a start, discovery, what many hosts and certificates cost, and issuing
	@$(LIMIT) 1800 $(IN_TOOLBOX) bash -c "python -m tests.bench.start && python -m tests.bench.discovery && python -m tests.bench.hosts && python -m tests.bench.certificates && python -m tests.bench.issue"

format: toolbox ## Format the code, mend what ruff can, write the README's tables
	@$(LIMIT) 120 $(IN_TOOLBOX) bash -c 'ruff format && ruff check --fix-only && python -m tests.readme && python -m tests.golden.case'

clean: down ## Remove this project's images and caches; volumes stay
	$(LIMIT) 180 docker compose down --rmi all
	$(LIMIT) 180 $(DEMO) down --rmi all
	$(LIMIT) 180 $(ENGINE) down --rmi all
	docker image ls --quiet companion-toolbox | sort -u | xargs --no-run-if-empty $(LIMIT) 180 docker image rm --force
	rm -rf .cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# The parts of `make check`. They run in the toolbox, or on a machine that has the tools.
.PHONY: lint shell-lint types unit-tests unit-letsencrypt unit-agent unit-rest thorough-tests letsencrypt-tests

lint:
	ruff format --check
	ruff check

shell-lint:
	grep -rlIE --exclude-dir=.git --exclude-dir=.cache --exclude='*.py' --exclude='*.md' \
		'^#!/(usr/)?bin/(env )?(ba)?sh' . | xargs shellcheck

types:
	mypy

# Properties are tried with a tenth of their examples, and what takes seconds is left out.
QUICK := -m "not slow" --hypothesis-profile=quick

# A process for each, which make starts side by side: workers of xdist would each collect everything, and report it.
UNIT_TESTS := unit-letsencrypt unit-agent unit-rest
unit-tests: $(UNIT_TESTS)

unit-letsencrypt: TESTED := letsencrypt tests/unit/letsencrypt
unit-agent: TESTED := proxy_agent tests/unit/agent
unit-rest: TESTED := tests/unit tests/golden --ignore tests/unit/letsencrypt --ignore tests/unit/agent

$(UNIT_TESTS):
	pytest -o cache_dir=.cache/pytest/$@ $(QUICK) --doctest-modules $(TESTED)

# All that unit-tests saves; each property is marked by hypothesis itself.
thorough-tests:
	pytest $(BY_FILE) -m "slow or hypothesis" tests/unit tests/golden

# In the libraries of the letsencrypt image, which has neither docker nor watchdog nor jinja2.
letsencrypt-tests:
	/opt/venv-letsencrypt/bin/pytest $(QUICK) --doctest-modules letsencrypt tests/unit/letsencrypt
