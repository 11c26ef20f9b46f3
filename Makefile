# Tasks of this repository. Each target sets up what it needs; `make` alone lists them.

export PATH := $(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Where scripts/setup.sh puts the real clients; tests/clients looks for them here.
export TOLLGATE_CLIENTS := $(CURDIR)/target/clients
# Where it puts the rules of FOCUS; the tests of `tollgate usage` look for them here.
export TOLLGATE_FOCUS := $(CURDIR)/target/focus
# Where it puts Envoy; tests/products runs it with what `tollgate generate` makes.
export TOLLGATE_ENVOY := $(CURDIR)/target/envoy/bin/envoy
# Where it puts linters, schemas and models; tests/products judges by them what can not be run itself.
export TOLLGATE_LINTERS := $(CURDIR)/target/linters
# Where it puts Zuplo; tests/products runs it in `make acceptance`.
export TOLLGATE_ZUPLO := $(CURDIR)/target/zuplo

# Passed on to the demo, the benches and the acceptance tests: make demo ARGS=--exit
ARGS ?=

# How many settlements the ledger has that `make bench` and `make acceptance` ask. None: leave it out.
BENCH_SETTLEMENTS ?= 10000000
ACCEPTANCE_SETTLEMENTS ?= 100000000

.DEFAULT_GOAL := help
.PHONY: help setup build demo test check bench acceptance advisories reference

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything that any target needs
	@scripts/setup.sh

build: ## build the tollgate command, optimised, into target/release
	@scripts/setup.sh build
	cargo build --release -p tollgate

demo: ## run a whole gateway before a simulated API, without an account
	@scripts/setup.sh build
	cargo run --release -p tollgate -- demo $(ARGS)

test: ## run all tests, with the real clients
	@scripts/setup.sh build acceptance
	cargo test --workspace

check: ## formatting, lints, documentation, licences and sources
	@scripts/setup.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	cargo deny --log-level error check bans licenses sources

bench: ## measure the gateway and nginx side by side, and a ledger of 10 million settlements
	@scripts/setup.sh bench
	cargo run --release -p tollgate-benches -- $(ARGS)
	$(if $(BENCH_SETTLEMENTS),scripts/ledger.sh $(BENCH_SETTLEMENTS))

acceptance: ## run the acceptance tests at length: every real client, Claude Code through other products, 200 rounds of kill -9, 100 million settlements
	@scripts/setup.sh build acceptance zuplo
	$(if $(ACCEPTANCE_SETTLEMENTS),scripts/ledger.sh $(ACCEPTANCE_SETTLEMENTS))
	cargo build -p tollgate
	TOLLGATE_KILL_ROUNDS=200 cargo test -p tollgate-acceptance --test acceptance -- $(ARGS)
	cargo test -p tollgate-acceptance --test clients -- --include-ignored $(ARGS)
	cargo test -p tollgate-acceptance --test products -- --ignored $(ARGS)

advisories: ## look the dependencies up in the RustSec database (needs the network)
	@scripts/setup.sh check
	cargo deny check advisories

reference: ## write the generated reference pages anew
	@scripts/setup.sh build
	TOLLGATE_UPDATE=1 cargo test -p tollgate-wire --lib the_reference_is_current
	TOLLGATE_UPDATE=1 cargo test -p tollgate-config --lib the_reference_is_current
	TOLLGATE_UPDATE=1 cargo test -p tollgate-gateway --lib the_reference_is_current
	TOLLGATE_UPDATE=1 cargo test -p tollgate --bin tollgate the_reference_is_current
