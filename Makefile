# Everything that a user or a contributor types. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help build run demo test lint bench fuzz seeds bless

CARGO ?= cargo
# make run LISTEN="127.0.0.1:4445 127.0.0.1:4139" DATA=/some/where ARGS="--json"; without DATA the program chooses
LISTEN ?=
DATA ?=
ARGS ?=
# make fuzz SECONDS=600 [TARGET=connection]
SECONDS ?= 600
TARGET ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the honeypot (release)
	$(CARGO) build --release -p roridula

run: build ## Build and start the honeypot [LISTEN="127.0.0.1:4445"] [DATA=DIR] [ARGS=...]
	exec ./target/release/roridula run $(if $(DATA),--data "$(DATA)") $(foreach address,$(LISTEN),--listen $(address)) $(ARGS)

demo: ## A honeypot on loopback with a made-up week behind it and a visit every few seconds [DATA=DIR]
	$(CARGO) build --release -p roridula -p roridula-lab
	DATA="$(DATA)" LISTEN="$(LISTEN)" ./scripts/demo.sh $(ARGS)

test: ## Install what the tests need, then run all of them
	./scripts/setup-tests.sh
	$(CARGO) test --workspace --doc
	$(CARGO) test --workspace --no-run --lib --bins --tests
	# The binary that was built just now: alone, cargo would build it once more with a feature less here and there.
	RORIDULA_BIN="$$(realpath "$${CARGO_TARGET_DIR:-target}")/debug/roridula" PATH="$$PATH:/usr/sbin:/sbin" \
		$(CARGO) test --workspace --no-fail-fast --lib --bins --tests

lint: ## Check formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: ## Measure against bare servers and write BENCHMARKS.md's table
	$(CARGO) build --release -p roridula -p roridula-lab
	./target/release/roridula-lab bench

fuzz: seeds ## Fuzz each target (or TARGET=name) for SECONDS=600
	./scripts/fuzz.sh "$(if $(TARGET),$(TARGET),all)" "$(SECONDS)"

seeds: ## Make the fuzzers' seeds from the transcripts
	$(CARGO) run -q -p roridula-lab -- seeds

bless: ## Write the transcripts' expected outputs anew; the diff is the review
	UPDATE_EXPECT=1 $(CARGO) test -q -p roridula-lab --test all transcripts::every_transcript
