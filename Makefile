# SPDX-License-Identifier: EUPL-1.2
# Aliases for ./belfry, which does all the work. Options go in ARGS: make test ARGS="-k claim"

ARGS ?=

.PHONY: help up demo token test peers lint doctor migrate seed graphiql schema
.DEFAULT_GOAL := help

help: ## This list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Start everything on this machine; Ctrl-C stops it.
	@./belfry up $(ARGS)

demo: ## Start everything, play one scenario, stop.
	@./belfry demo $(ARGS)

token: ## A bearer token: make token ARGS="--organization molendam --role operator"
	@./belfry token $(ARGS)

test: ## The tests.
	@./belfry test $(ARGS)

peers: ## The tests, also against real network servers on this machine.
	@./belfry test --peers $(ARGS)

lint: ## Every linter.
	@./belfry lint $(ARGS)

doctor: ## Can Belfry run here?
	@./belfry doctor $(ARGS)

migrate: ## Bring the database of the running installation up to date.
	@./belfry migrate $(ARGS)

seed: ## Write the demo organizations.
	@./belfry seed $(ARGS)

graphiql: ## Build the page at /graphiql.
	@./belfry graphiql $(ARGS)

schema: ## Write graphql_schema/schema.graphql from the code.
	@./belfry schema $(ARGS)
