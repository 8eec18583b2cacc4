# Every target is one line of `make help`. What a target needs beyond Go it installs or names (test/install.sh) or builds (test/cluster).

LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Tools that are not shipped and need much that the programs do not are modules of their own.
TOOLS    := deploy/image test/conformance test/h2spec
POISONED := ./internal/http1 ./internal/proxy/... ./internal/observe ./internal/policy/... ./test/...
FUZZTIME ?= 60s

.DEFAULT_GOAL := help
.PHONY: help build run test lint fuzz bench campaign failover propagation soak generate check-generated image conformance e2e

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the command into bin/ebbgate
	go build -o bin/ebbgate ./cmd/ebbgate

run: build ## build and serve the quickstart, with a provider of its own: no key needed
	bin/ebbgate run --quickstart

# The second run overwrites released buffers, and is without the race detector so that tests of allocations run too.
test: ## vet and test everything (installs what the tests need, or says what to install)
	bash test/install.sh
	bash test/cluster/cluster.sh control-plane
	deploy/helm/tools.sh >/dev/null
	go vet ./...
	go test -race -timeout 15m ./...
	go test -tags poison -timeout 10m $(POISONED)
	for tool in $(TOOLS); do (cd $$tool && go vet ./... && go test -timeout 10m ./...) || exit 1; done

lint: ## check formatting and module sums, and run the linters of .golangci.yml
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path '*/node_modules/*' -not -path '*/testdata/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:" >&2; echo "$$unformatted" >&2; exit 1; fi
	go mod verify
	go run $(LINT) run ./...
	for tool in $(TOOLS); do (cd $$tool && go mod verify && go run $(LINT) run ./...) || exit 1; done

fuzz: ## run every fuzz target for FUZZTIME (60s) each
	FUZZTIME=$(FUZZTIME) bash test/fuzz.sh

bench: ## measure against nginx and HAProxy (ROUNDS, SECONDS: rounds and seconds a round)
	bash test/install.sh
	ROUND_SECONDS=$(SECONDS) bash test/bench/run.sh
	ROUND_SECONDS=$(SECONDS) ROWS=get bash test/bench/run.sh -routes 10000

campaign: ## send 100,000 requests to destinations that fail at random, and write docs/campaign.md
	go test -count 1 -timeout 60m ./test/campaign -run TestCampaign -requests 100000 -report $(CURDIR)/docs/campaign.md

failover: ## lose a destination under full load, and write docs/failover-under-load.md
	go test -count 1 -timeout 30m ./test/failover -before 5s -away 10s -ejection 30s -slow-start 30s -report $(CURDIR)/docs/failover-under-load.md

soak: ## ten minutes of mixed traffic with rude clients and reloads, floods, crowds; write docs/soak.md, floods.md, crowds.md
	go test -count 1 -timeout 30m ./test/soak -run TestSoak -for 10m -report $(CURDIR)/docs/soak.md
	go test -count 1 -timeout 30m ./test/soak -run TestFloods -flood 3s -flood-report $(CURDIR)/docs/floods.md
	go test -count 1 -timeout 30m ./test/soak -run TestCrowds -idle 20000 -crowd-report $(CURDIR)/docs/crowds.md

propagation: ## change routes among 1,000, and Pods among 20,000, on a real API server; write docs/propagation.md and docs/pods.md
	bash test/cluster/cluster.sh control-plane
	go test -count 1 -timeout 30m ./test/propagation -routes 1000 -changes 500 -report $(CURDIR)/docs/propagation.md \
		-pods 20000 -pod-changes 500 -pod-report $(CURDIR)/docs/pods.md

generate: ## regenerate deep copies, CRDs, the chart's copies and third-party notices
	deploy/crds/generate.sh
	go run ./deploy/helm/rules
	go run ./deploy/notices

check-generated: ## fail where generated files are stale
	deploy/crds/generate.sh --check
	go run ./deploy/helm/rules -check
	go run ./deploy/notices -check

image: ## build the images into bin/image (IMAGE: flags of deploy/image, such as -tag or -push)
	cd deploy/image && go run . $(IMAGE)

conformance: ## run Gateway API's conformance suite on a cluster of one node, and write docs/conformance (as root on Debian)
	bash test/conformance/run.sh

e2e: ## run the whole-node tests on a cluster of one node (as root on Debian)
	bash test/e2e/kube/run.sh
