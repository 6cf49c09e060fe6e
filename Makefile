# make demo and make test are all that a fresh machine with Go needs.
SHELL := /bin/bash
BIN := bin/bulkhead
CLUSTER := go -C test/cluster run .

.PHONY: build demo test unit bench cluster generate lint fuzz fuzz-rbac fuzz-net control clean

build: ## build bin/bulkhead
	go build -trimpath -o $(BIN) ./cmd/bulkhead

demo: build ## scan the example shop and write an HTML report
	@$(BIN) scan examples/shop -o html=bin/shop.html -o table || [ $$? -eq 1 ]
	@echo "The same as a page: bin/shop.html"

test: browser ## everything, with a real control plane and a real browser
	go vet ./...
	$(MAKE) --no-print-directory generate-check
	$(CLUSTER) build
	go -C test/psp build -o ../../bin/psp .
	go -C test/cyclonus build -o ../../bin/cyclonus .
	BULKHEAD_TEST_PSP=$(CURDIR)/bin/psp BULKHEAD_TEST_CYCLONUS=$(CURDIR)/bin/cyclonus $(CLUSTER) exec --chdir ../.. -- go test ./...
	go -C test/cluster test ./...

unit: ## what needs no control plane
	go test ./...

bench: ## whole scans beside a peer, and how they grow; figures for docs/benchmarks.md
	go run ./test/bench
	go run ./test/bench -alone -runs 3 -namespaces 200,2858
	go run ./test/bench -alone -fix -runs 3 -namespaces 200,1000
	$(CLUSTER) exec --chdir ../.. -- go run ./test/bench/live -namespaces 50,500
	go test -run '^$$' -bench . -benchmem ./internal/load/manifest ./internal/catalog ./internal/fix/text ./internal/rbac ./internal/graph ./internal/network/...
	go test -run '^$$' -bench 'Update|Feed' -benchtime 500x ./internal/network/reach

cluster: ## start a real control plane with the example shop in it
	$(CLUSTER) start --load ../../examples/shop

generate: ## write what is generated: docs of the controls
	go generate ./...

.PHONY: generate-check browser
generate-check:
	@go generate ./... && changed=$$(git status --porcelain -- docs 2>/dev/null); \
	if [ -n "$$changed" ] && [ -n "$$CI" ]; then echo "generated files are stale, run make generate:"; echo "$$changed"; exit 1; fi

# The tests of the HTML report drive Debian's Chromium. Without it they are
# skipped, unless CI is set.
browser:
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -q -y chromium; } || true

fuzz: ## every fuzz test, a minute each (FUZZTIME=1h for more)
	@for pkg in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$pkg | grep ^Fuzz); do \
		echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-1m} -fuzzminimizetime 100x $$pkg || exit 1; done; done

fuzz-rbac: ## 100,000 random requests to the index of permissions and to a real authorizer
	BULKHEAD_RBAC_REQUESTS=$${REQUESTS:-100000} $(CLUSTER) exec --chdir ../.. -- go test -count=1 -v -run 'TestAccess$$' ./internal/rbac

fuzz-net: ## 20,000 random clusters to the engine of reachability and to a plain evaluator
	BULKHEAD_NET_CLUSTERS=$${CLUSTERS:-20000} BULKHEAD_NET_UPDATES=$${UPDATES:-400} go test -count=1 -v -timeout 60m -run 'TestTwin$$|TestUpdate$$' ./internal/network/reach

lint: ## golangci-lint with .golangci.yml
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.6.0 run ./...

control: ## start a control: make control NAME=no-x DOMAIN=workload
	go run ./internal/catalog/newcontrol -domain '$(DOMAIN)' '$(NAME)'

clean:
	rm -rf bin
