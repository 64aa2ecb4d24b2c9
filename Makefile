# Everything a developer runs. `make` alone lists it; .ci/run calls the same
# targets, so what passes here passes there.

SHELL       := bash
.SHELLFLAGS := -o pipefail -c

# Every module of the tree, the committed ones and the ones you are writing.
MODULES := $(shell find . \( -name .git -o -name bin -o -name node_modules -o -name testdata \) -prune -o -name go.mod -print | sed 's,/go.mod$$,,' | sort)
BIN     := $(CURDIR)/bin

TESTFLAGS ?=
BENCH     ?= .
BENCHTIME ?= 1s
FUZZTIME  ?= 10s
PAIRS     ?= 1000000
SEED      ?= 0
SOAK      ?= 10m
SCREENSHOTS ?= screenshots

# each: run a command in every module, go on after a failure, fail at the end.
each = @failed=; for m in $(MODULES); do echo "==> $@: $$m"; (cd "$$m" && $(1)) || failed="$$failed $$m"; done; \
	[ -z "$$failed" ] || { echo "make $@ failed in:$$failed" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help test races bench bench-peers differential screenshots usage-million fleet soak fuzz lint gofmt vet imports golangci rego reproducible sbom \
	apidiff npm tools tidy tidy-check services clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

test: services $(BIN)/withservices ## Test every module with the race detector (TESTFLAGS=-run=Revoke)
	$(call each,$(test-module))

# Modules below examples can't import the harnesses that start PostgreSQL and Redis; conformance builds servers.
test-module = with= && { [[ $$m != ./examples* ]] || with=$(BIN)/withservices; } && $$with go test $(RACE) -timeout=40m $(TESTFLAGS) ./...

# SQLite here is C turned into Go, which locks by itself: the race detector finds nothing of
# ours in it, and makes it many times slower. Our code and the driver are instrumented.
RACE := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false

# Go knows whether there is anything to build.
.PHONY: $(BIN)/withservices
$(BIN)/withservices:
	@mkdir -p $(BIN)
	go build -o $@ ./internal/withservices

bench: ## Run every benchmark (BENCH=Verify BENCHTIME=3s); compare runs with bin/benchstat
	$(call each,go test -run='^$$' -bench='$(BENCH)' -benchtime=$(BENCHTIME) -benchmem $(TESTFLAGS) ./...)

differential: services ## Compare policies in PAIRS (1,000,000) random pairs of principal and row; SEED repeats a run
	go test -count=1 -timeout=2h -v -run='^TestDifferential$$' ./policies -args -pairs=$(PAIRS) -seed=$(SEED) | grep -v '^=== '

screenshots: ## Write a picture of each page of the Developer page to SCREENSHOTS (screenshots)
	go test -C internal/browser -count=1 -timeout=30m -run='^TestScreenshots$$' . -args -screenshots=$(abspath $(SCREENSHOTS))

usage-million: ## Count 1,000,000 requests over four processes, one of them ended or killed
	go test -count=1 -v -timeout=30m -run='^Test(FleetOfProcesses|ManyRequests)$$' ./keyauth/usage -args -requests=1000000

fleet: ## Break a fleet part by part, and builds on purpose; one line an invariant (5 to 10 minutes)
	go test -C internal/fleet -count=1 -v -timeout=20m . -args -full

soak: ## Load a fleet for SOAK (10m): memory and goroutines must stay flat
	go test -C internal/fleet -count=1 -v -timeout=30m -run=Soak . -args -soak=$(SOAK)

bench-peers: ## Whole chains beside what teams would pick instead, and which targets are met
	go run -C internal/benchmarks ./chain

races: ## Every round of the stores' races, without the race detector, which is spared some (about ten minutes)
	go test -count=1 -timeout=20m ./storage/...

fuzz: ## Fuzz every fuzz target for FUZZTIME each (10s; 300x is a number of inputs)
	$(call each,$(CURDIR)/internal/tools/fuzz.sh $(FUZZTIME))

lint: gofmt vet imports golangci ## gofmt, vet, imports and golangci together

gofmt: ## Fail if a file is not as gofmt writes it
	@files=$$(gofmt -l .) && [ -z "$$files" ] || { echo "run gofmt -w on:" $$files >&2; exit 1; }

vet: ## go vet in every module
	$(call each,go vet ./...)

imports: ## Check who may import whom, exported names, their documentation, machine paths
	go test -count=1 ./internal/imports

golangci: $(BIN)/golangci-lint ## golangci-lint in every module, as .golangci.yml says
	$(call each,$(BIN)/golangci-lint run --config=$(CURDIR)/.golangci.yml ./...)

# OPA's command line judges the policies: their form, their types against the
# schemas of their inputs, their tests. The bundled ones are tested completely.
BUNDLED  := $(wildcard policies/*.rego)
RULES    := $(filter-out %_test.rego,$(BUNDLED))
EXAMPLES := $(sort $(dir $(wildcard policies/examples/*/*.rego)))
OPA      := bin/opa

rego: $(BIN)/opa ## Check and test the policies (builds OPA's command line, a minute or two, once)
	$(OPA) fmt --fail --diff $(BUNDLED) $(EXAMPLES)
	$(OPA) check --strict --schema policies/schemas/scopes.json policies/scopes*.rego
	$(OPA) check --strict --schema policies/schemas/manage.json policies/manage*.rego
	$(OPA) check --strict --schema policies/schemas/resource.json policies/resource*.rego
	$(OPA) check --strict --schema policies/schemas/meetings.json policies/resource*.rego policies/meetings*.rego
	@for d in $(EXAMPLES); do $(check-example) || exit 1; done
	$(OPA) eval --fail --format pretty 'all := {p | p := data.schemas[_].properties.principal}; count(all) == 1' $(same-principal) >/dev/null \
		|| { echo 'make rego: the schemas describe principal in different ways' >&2; exit 1; }
	$(OPA) test $(BUNDLED)
	$(OPA) test --coverage --threshold 100 $(BUNDLED) | tail -2
	@for d in $(EXAMPLES); do echo "$(OPA) test $$d" && $(OPA) test $(RULES) $$d*.rego || exit 1; done

# An example that brings columns of its own brings their schema too.
check-example = s=$$d/schema.json && if [ ! -e $$s ]; then s=policies/schemas/$$(sed -n 's/^package policies\.\([a-z]*\)$$/\1/p' $$d*.rego | head -1).json; fi && \
	echo "$(OPA) check $$d" && $(OPA) check --strict --schema $$s $$d*.rego

# Those who write policies know one principal, so no schema may tell another.
same-principal = $(foreach s,scopes resource meetings,-d schemas.$s:policies/schemas/$s.json) \
	$(foreach s,$(wildcard policies/examples/*/schema.json),-d schemas.$(notdir $(patsubst %/,%,$(dir $s))):$s)

$(BIN)/opa: internal/tools/opa/go.mod internal/tools/opa/go.sum
	@mkdir -p $(BIN)
	go -C internal/tools/opa build -o $(BIN)/ tool
	@touch $@

tools: $(BIN)/golangci-lint $(BIN)/opa ## Build golangci-lint, benchstat, mockgen and opa into bin/ (a minute or two, once)

# One build makes all but opa; the linter stands for them.
$(BIN)/golangci-lint: internal/tools/go.mod internal/tools/go.sum
	@mkdir -p $(BIN)
	go -C internal/tools build -o $(BIN)/ tool
	@touch $@

# -e, because a test of a test of modernc.org/sqlite wants a module version that a
# proxy may refuse, and nothing here builds it. That touches go.sum only, so the
# check compares go.mod; the build finds a missing go.sum line by itself.
tidy: ## go mod tidy in every module
	$(call each,go mod tidy -e)

tidy-check: ## Fail if a go.mod is not tidy, a go.sum line is missing or a download was altered
	$(call each,$(tidy-module))

tidy-module = go mod verify && go build -mod=readonly -o /dev/null ./... && \
	diff=$$(go mod tidy -e -diff 2>/dev/null | sed '/^diff current.go.sum/,$$d' || true) && [ -z "$$diff" ] || { echo "$$diff"; false; }

# Debugging information is left out: it makes linking twice as slow, and says nothing new.
reproducible: ## Build the examples twice, in different places, and compare
	FLAGS='-trimpath -buildvcs=false -ldflags=-w' internal/tools/supplychain/reproducible.sh examples

sbom: $(BIN)/cyclonedx-gomod ## Write what the modules consist of to bin/sbom (CycloneDX)
	internal/tools/supplychain/sbom.sh $(BIN)/cyclonedx-gomod $(BIN)/sbom . examples

apidiff: $(BIN)/cyclonedx-gomod ## What changed for callers since the newest tag; a break fails from v1 on
	internal/tools/supplychain/apidiff.sh $(BIN)/apidiff

# One build makes apidiff too.
$(BIN)/cyclonedx-gomod: internal/tools/supplychain/go.mod internal/tools/supplychain/go.sum
	@mkdir -p $(BIN)
	go -C internal/tools/supplychain build -o $(BIN)/ tool
	@touch $@

npm: internal/npm/node_modules/.package-lock.json ## Install the clients that others wrote, from npm, for the tests that run them

internal/npm/node_modules/.package-lock.json: internal/npm/package-lock.json
	cd internal/npm && npm ci --no-audit --no-fund --ignore-scripts
	@touch $@

# What the tests start; .ci/run installs it.
services:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo "note: PostgreSQL is missing, its tests will skip: apt-get install postgresql"
	@command -v redis-server >/dev/null || echo "note: Redis is missing, its tests will skip: apt-get install redis-server"
	@PATH=$$PATH:/usr/sbin; command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null || echo "note: MariaDB is missing, its tests will skip: apt-get install mariadb-server"
	@command -v openssl >/dev/null || echo "note: openssl is missing, the tests that sign with it will skip: apt-get install openssl"
	@[ -e internal/npm/node_modules ] || echo "note: the npm packages are missing, the tests of other people's clients will skip: make npm"
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || echo "note: Chromium is missing, its tests will skip: apt-get install chromium"
	@PATH=$$PATH:/usr/sbin; command -v nginx >/dev/null || echo "note: nginx is missing, its tests will skip: apt-get install nginx"

clean: ## Remove bin/
	rm -rf $(BIN)
