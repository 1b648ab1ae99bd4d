# Drover. `make` lists what can be made.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO      ?= go
TOOLS   := $(CURDIR)/.cache/tools
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X $(shell awk '/^module/{print $$2}' go.mod)/services/cli.Version=$(VERSION)"
PACKAGES := ./...

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/drover
	@mkdir -p bin
	$(BUILD) -o bin/drover .

.PHONY: demo
demo: build ## Run the main job: 1,000 simulated devices, one job, a closing table from the log
	@bash deploy/demo.sh bin/drover

.PHONY: demo-abort
demo-abort: build ## Every tenth of 5,000 devices fails, and the job is aborted: what was released by then, from the log
	@bash deploy/abort-demo.sh bin/drover

.PHONY: cluster-demo
cluster-demo: build ## The same on three hub nodes and twelve services, as processes, while some are killed
	@bash deploy/cluster-demo.sh bin/drover

.PHONY: rolling-demo
rolling-demo: build ## Every process of that system is restarted, one by one, during a rollout
	@bash deploy/rolling-demo.sh bin/drover

.PHONY: quorum-demo
quorum-demo: build ## Two of that system's three hub nodes are away for 20 s during a rollout
	@bash deploy/quorum-demo.sh bin/drover

.PHONY: three-hosts-demo
three-hosts-demo: build ## What deploy/README.md says of three nodes, on three machines; two lose their power (as root)
	@bash deploy/three-hosts-demo.sh bin/drover

.PHONY: compose-demo
compose-demo: build ## cluster-demo with the containers of docker-compose.yml; skipped where no Docker engine answers
	@if docker info >/dev/null 2>&1; then bash deploy/cluster-demo.sh bin/drover containers; \
	else echo "SKIPPED: compose-demo needs a Docker engine, and none answers here (docker info)"; fi

.PHONY: compose-prepare
compose-prepare: build ## What docker-compose.yml needs of this machine: secrets, a user's number, the image
	@bash deploy/prepare.sh bin/drover
	@docker build -q --build-arg UID=$$(sed -n 's/^DROVER_UID=//p' .env) -t drover:local -f deploy/Dockerfile .

.PHONY: test
test: ## Run all tests (needs Go, Make and git)
	CGO_ENABLED=0 $(GO) test -timeout 10m $(PACKAGES)

.PHONY: test-race
test-race: ## Run all tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 15m $(PACKAGES)

# sdktest is a module of its own: it has AWS's SDKs, which Drover has not.
SDKTEST := services/fronts/aws/sdktest

.PHONY: test-sdk
test-sdk: build ## Every operation of AWS's API with AWS's Go SDKs (fetches them through the module proxy)
	cd $(SDKTEST) && CGO_ENABLED=0 $(GO) test -timeout 5m -drover $(CURDIR)/bin/drover

# Debian's version is what people have, and older than most; another is named with AWSCLI=….
AWSCLI ?= /usr/bin/aws

.PHONY: test-awscli
test-awscli: build ## What a user types into AWS's command line, with Debian's awscli, which it installs where it is root
	@test -x $(AWSCLI) || { apt-get update -q && apt-get install -qy --no-install-recommends awscli; } >&2 || \
	  { echo "$(AWSCLI) is not there: apt-get install awscli, or name one with AWSCLI=…" >&2; exit 1; }
	cd $(SDKTEST) && CGO_ENABLED=0 $(GO) test -timeout 15m -run TestAWSCLI -drover $(CURDIR)/bin/drover -awscli $(AWSCLI)

.PHONY: lint
lint: $(TOOLS)/staticcheck ## gofmt, vet, staticcheck
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	$(GO) vet $(PACKAGES)
	$(TOOLS)/staticcheck $(PACKAGES)
	cd $(SDKTEST) && $(GO) vet . && $(TOOLS)/staticcheck .

.PHONY: proto
proto: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-vtproto ## Generate the Go of proto/
	PATH="$(TOOLS):$$PATH" $(TOOLS)/buf generate --template .buf.gen.yaml

.PHONY: proto-check
proto-check: proto ## buf lint, buf breaking against the released schema, generated code is current
	$(TOOLS)/buf lint
	$(TOOLS)/buf breaking --against proto/released.binpb
	@git diff --exit-code --stat -- proto || { echo "proto/ is not what its .proto files generate; commit the result of make proto"; exit 1; }

.PHONY: proto-release
proto-release: $(TOOLS)/buf ## Make the present schema the released one
	$(TOOLS)/buf build -o proto/released.binpb

.PHONY: fuzz
fuzz: ## Run every fuzz target for 10 s
	@for pkg in $$($(GO) list $(PACKAGES)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$pkg || exit 1; \
	  done; done

.PHONY: bench
bench: ## Run the benchmarks of the cores, the log and the read models
	$(GO) test -run '^$$' -bench . -benchmem ./services/... ./projections/... ./eventstore/...

.PHONY: bench-report
bench-report: build ## Reports a second, their latency, and what the broker could persist at most, in turn
	$(GO) run ./loadtest bench --drover bin/drover

.PHONY: bench-million
bench-million: build ## 1,000,000 things in one group, one job: time, memory, a device's latency meanwhile
	$(GO) run ./loadtest million --drover bin/drover

.PHONY: bench-http
bench-http: build ## Signed requests a second of AWS's Go SDKs, and the system's CPU time for each
	cd $(SDKTEST) && CGO_ENABLED=0 $(GO) test -run '^$$' -bench HTTP -benchtime 5s -drover $(CURDIR)/bin/drover .

.PHONY: ci
ci: lint proto-check test-race demo demo-abort ## What CI runs, beside the demos of many processes

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .cache

# Tools are Go modules: buf and staticcheck at the versions of .tools/go.mod, the generators at those of go.mod, so
# that generated code and the library it calls agree.
$(TOOLS)/buf: .tools/go.mod
	@mkdir -p $(TOOLS)
	cd .tools && $(GO) build -o $@ github.com/bufbuild/buf/cmd/buf
$(TOOLS)/staticcheck: .tools/go.mod
	@mkdir -p $(TOOLS)
	cd .tools && $(GO) build -o $@ honnef.co/go/tools/cmd/staticcheck
$(TOOLS)/protoc-gen-go: go.mod
	@mkdir -p $(TOOLS)
	$(GO) build -o $@ google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-vtproto: go.mod
	@mkdir -p $(TOOLS)
	$(GO) build -o $@ github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto
