# The only doors: everything that people and CI do here is a target. `make help` lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Modules of their own, so that what they require stays out of an importer's go.sum.
MODULES := . bench gormtest examples/deploy examples/metrics examples/tracing

# What a change must pass, in this order.
GATE := lint verify test-race race faults test-gorm test-metrics test-tracing test-deploy test-role test-pgbouncer \
	plans-check prove-checks readme site audit release-check bench-databases demo test-matrix docker-test

# The parts of the store's suite for which it matters how a Store is connected.
STORE_SUITE := $(addprefix ./internal/storetest/,behaviour keys work taskwork)

SQLC       := go tool -modfile=tools/go.mod sqlc
ACTIONLINT := go tool -modfile=tools/go.mod actionlint
GOLANGCI   := go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
GORELEASER := go tool -modfile=tools/release/go.mod goreleaser
SQUAWK     := npx --yes --loglevel=error squawk-cli@2.66.0
WITHPG     := go run ./internal/pgserver/withpg

.PHONY: help
help: ## Show this list
	@if [ -t 1 ]; then bold=$$'\033[1m' plain=$$'\033[0m'; else bold='' plain=''; fi; \
		awk -F ':.*## ' -v form="  $$bold%-17s$$plain %s\n" '/^[a-z][a-z-]*:.*## / { printf form, $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: gate
gate: ## Run every check that a change must pass, and show what took how long (GATE="lint verify": only these)
	@tools/gate.sh $(GATE)

.PHONY: gate-targets
gate-targets: ## Print the gate's targets as JSON, for the workflow that runs them beside each other
	@printf '["%s"]\n' "$$(sed 's/ /","/g' <<<"$(strip $(GATE))")"

.PHONY: demo
demo: ## Migrate a database and watch a service work on it while one of its processes is killed, half a minute
	@echo "A demo of package taskwork. It builds, starts a throwaway PostgreSQL if none is named, and migrates it first."
	@mkdir -p bin
	@go build -o bin/ ./cmd/taskmigrate ./examples/worker
	@$(WITHPG) sh -c 'said=$$(bin/taskmigrate up 2>&1) || { echo "$$said"; exit 1; }; bin/worker'
	@echo "Next, on a database of yours: DATABASE_URL=postgres://… bin/taskmigrate up"
	@echo "docs/start.md goes on from there, to a worker of your own."

.PHONY: record
record: build ## Record make demo and tasks stats --watch as pictures in docs/diagrams (needs tmux)
	go run ./internal/readme/record '$$ make demo' make demo >bin/demo.svg
	go run ./internal/readme/record -for 10s '$$ tasks stats --watch' $(WITHPG) sh -c \
		'bin/taskmigrate up >bin/said 2>&1; bin/worker >>bin/said & \
		bin/tasks stats --watch --interval 1s --silent-for 1s; kill $$!; wait' >bin/watch.svg
	mv bin/demo.svg bin/watch.svg docs/diagrams/

.PHONY: diagrams
diagrams: ## Render docs/diagrams/*.dot, bright or dark as the reader's system is (needs Graphviz)
	for dot in docs/diagrams/*.dot; do dot -Tsvg -o $${dot%.dot}.svg $$dot -Gstylesheet="data:text/css, \
		@media (prefers-color-scheme: dark) { svg { filter: invert(.9) hue-rotate(180deg) } }"; done

.PHONY: build
build: ## Build the commands into bin/
	go build -o bin/ ./cmd/...

.PHONY: install
install: ## Install the commands into GOBIN
	go install ./cmd/...

.PHONY: completions
completions: build ## Write what bash, zsh and fish need to complete the commands, into bin/completions
	@mkdir -p bin/completions
	@for command in taskmigrate tasks; do for shell in bash zsh fish; do \
		bin/$$command completion $$shell >bin/completions/$$command.$$shell; done; done

.PHONY: test
test: ## Run all tests; finds or starts a Postgres
	go test ./...

.PHONY: test-race
test-race: ## Run all tests but faults under the race detector, and the page counts, which it does not change, without
	go test -race $$(go list ./... | grep -vE '/storetest/(pages|faults|failover)$$')
	go test ./internal/storetest/pages

RACE ?= 30s
.PHONY: race
race: ## Race workers, foreign writers and failures for RACE=30s, and check each task's history (by hand: RACE=1h)
	TASKSTORE_RACE_TIME=$(RACE) go test -race -count=1 -timeout 0 -v -run 'TestRace$$' ./internal/storetest/race

FAULTS ?= 10s
.PHONY: faults
faults: ## Cut the network, lock rows, kill and promote servers under the store, at random for FAULTS=10s (or 10m)
	TASKSTORE_FAULTS_TIME=$(FAULTS) go test -race -count=1 -timeout 0 ./internal/storetest/{faults,failover}

.PHONY: test-kill
test-kill: ## Kill taskmigrate up at 20 moments on 500,000 rows, and go on each time
	TASKMIGRATE_TEST_KILL_ROWS=500000 go test -count=1 -timeout 30m -run SIGKILL ./cmd/taskmigrate

.PHONY: test-gorm
test-gorm: ## Adopt, migrate and use tables made by real GORM (a module of its own)
	cd gormtest && go test ./...

.PHONY: test-metrics
test-metrics: ## Test the example of metrics, and its dashboard on a real Prometheus (a module of its own)
	cd examples/metrics && go test ./...

.PHONY: test-tracing
test-tracing: ## Test the example of a traced pool (a module of its own)
	cd examples/tracing && go test ./...

.PHONY: test-deploy
test-deploy: ## Run the recipes for deploys: GitHub, GitLab, Kubernetes, systemd (a module of its own)
	cd examples/deploy && go test ./...

.PHONY: test-role
test-role: ## Run the store's suite with the service role's rights
	TASKSTORE_TEST_ROLE=tasks_service go test -count=1 $(STORE_SUITE) ./internal/storetest/{access,schema,race}

MODE ?= cache_describe
.PHONY: test-pgbouncer
test-pgbouncer: ## Run the store's suite through PgBouncer in transaction mode, in pgx's MODE=cache_describe (or exec)
	TASKSTORE_TEST_PGBOUNCER_MODE=$(MODE) go test -count=1 $(STORE_SUITE)

.PHONY: test-citus
test-citus: ## Run the store's suite and races on the Citus cluster whose coordinator TASKSTORE_TEST_CITUS_URL names
	@[ -n "$${TASKSTORE_TEST_CITUS_URL:-}" ] || { \
		echo "test-citus ran nothing: TASKSTORE_TEST_CITUS_URL names no coordinator of a Citus cluster"; exit; }; \
	go test -count=1 -p 1 -parallel 4 -timeout 30m $(STORE_SUITE); \
	go test -count=1 -parallel 4 -run TestUpkeepPassesByWhatRefuses ./internal/storetest/faults; \
	export TASKSTORE_TEST_CITUS_SHARDS=8 TASKSTORE_RACE_TIME=$(RACE); \
	go test -count=1 -p 1 -parallel 1 -timeout 30m -v ./internal/storetest/{citus,race}

.PHONY: demo-tracing
demo-tracing: ## Watch the spans of a traced pool
	@mkdir -p bin && go build -o bin/ ./cmd/taskmigrate && cd examples/tracing && go build -o ../../bin/ .
	@$(WITHPG) sh -c 'bin/taskmigrate up >/dev/null 2>&1 && bin/tracing'

.PHONY: bench-databases
bench-databases: ## Measure what taskstoretest costs a test, beside a fresh migrate
	go test -run '^$$' -bench . -benchtime 20x ./taskstoretest

.PHONY: test-matrix
test-matrix: ## Run all tests but faults on PostgreSQL 14 to 18, or on VERSIONS="14 18"
	VERSIONS="$(VERSIONS)" tools/matrix.sh

.PHONY: docker-test
docker-test: ## Run the database tests in containers of a real Docker engine (ARGS=--install: root may install one)
	tools/docker-test.sh $(ARGS)

.PHONY: lint
lint: lint-sql lint-workflows ## Lint the Go code of all modules, the migrations and the workflows
	for module in $(MODULES); do (cd $$module && go vet ./... && $(GOLANGCI) run ./...); done

.PHONY: lint-sql
lint-sql: ## Lint the migrations (squawk, by npx, and rules of ours)
	SQUAWK="$(SQUAWK)" tools/lint-migrations.sh

.PHONY: lint-workflows
lint-workflows: ## Lint the workflows of GitHub
	$(ACTIONLINT) .github/workflows/*.yaml examples/deploy/github.yaml

.PHONY: generate
generate: ## Generate dbgen from queries and schema, and what verify compares with
	$(SQLC) generate
	go test -count=1 ./internal/migrate/catalog -update

.PHONY: verify
verify: ## Fail if generated code is stale or a query breaks a rule
	$(SQLC) diff
	$(WITHPG) sh -c 'go run ./cmd/taskmigrate up >/dev/null && $(SQLC) vet'

.PHONY: plans
plans: ## Write docs/plans.md: the plan of each query on a million rows
	go run ./internal/planbook

.PHONY: plans-check
plans-check: ## Fail if a plan has changed or a query exceeds its budget
	go run ./internal/planbook -check

.PHONY: bench
bench: ## Measure the store against its peers, as ratios in one run (about fifteen minutes)
	cd bench && go run .

.PHONY: bench-quick
bench-quick: ## The same in about two minutes, and only roughly
	cd bench && go run . -quick

.PHONY: bench-queue
bench-queue: bench/node/node_modules ## Measure taskwork beside other job queues, and write it down (about forty minutes)
	cd bench && go run ./queue -save $(ARGS)

.PHONY: bench-queue-quick
bench-queue-quick: bench/node/node_modules ## The same in about four minutes, and only roughly
	cd bench && go run ./queue -quick $(ARGS)

bench/node/node_modules: bench/node/package-lock.json
	cd bench/node && npm ci --no-audit --no-fund && touch node_modules

.PHONY: bench-scale
bench-scale: ## A claim's latency as the table grows to ten million rows (by hand)
	cd bench && go run . -scale

.PHONY: bench-citus
bench-citus: ## The store on a Citus cluster beside plain PostgreSQL: PLAIN=URL CITUS=URL of migrated, empty databases
	cd bench && go run ./citus -plain "$(PLAIN)" -citus "$(CITUS)"

.PHONY: bench-migrate
bench-migrate: ## The longest write during taskmigrate up, beside a plain CREATE INDEX
	cd bench && go run ./migrate

.PHONY: bench-backfill
bench-backfill: ## What the back-fill of 5,000,000 rows costs: WAL, bloat, a standby's lag, writers' waits (by hand)
	cd bench && go run ./backfill

.PHONY: bench-retention
bench-retention: ## What DeleteFinished costs a table of ARGS="-rows 10000000 -for 20m" beside creates and claims (by hand)
	cd bench && go run ./retention $(ARGS)

.PHONY: prove-checks
prove-checks: ## Plant faults in a scratch copy and show that each check turns red
	tools/prove-checks.sh

.PHONY: readme
readme: ## Run the newcomer's path: the commands of the README and of the docs, to a worker on a migrated database
	$(WITHPG) tools/readme-commands.sh

docs/node_modules: docs/package-lock.json
	cd docs && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: site
site: docs/node_modules ## Render docs/ into site/, and look at each page and link (SCREENSHOTS=DIR leaves pictures there)
	cd docs && node_modules/.bin/vitepress build && node .vitepress/look.mjs

IMAGE ?= taskmigrate:dev
.PHONY: image
image: ## Build the container image of taskmigrate for this machine's architecture, as IMAGE=taskmigrate:dev
	CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o bin/image/ ./cmd/taskmigrate
	docker build -q -t $(IMAGE) -f Containerfile bin/image

.PHONY: audit
audit: ## Check what the binaries and packages are built from: licences, and known vulnerabilities if their list is reachable
	tools/audit.sh

.PHONY: release-check
release-check: ## Check the release recipe: build this machine's binary by it, and once more from another place, byte for byte
	GORELEASER="$(GORELEASER)" tools/release-check.sh

.PHONY: release
release: ## Publish the tag of the current commit (needs GITHUB_TOKEN)
	$(GORELEASER) release --clean
