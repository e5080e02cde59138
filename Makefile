# G8OS. `make` alone explains what can be made; see README.md for the rest.

SHELL       := /bin/sh
MODULE      := github.com/g8os/g8os
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The time of the commit, not of the build: the same commit gives the same bytes.
BUILT       ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
LDFLAGS     := -s -w -X $(MODULE)/core/version.version=$(VERSION) -X $(MODULE)/core/version.built=$(BUILT)
FROZEN_FLAGS := -std=gnu11 -Wall -Wextra -Werror -O2 -fPIC -shared -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns -Wl,-z,now
BINARIES    := ./core/cmd/... ./ac-mock/cmd/... ./lab/cmd/...
UNIT         = $$(go list ./... | grep -vE '^$(MODULE)/(scenarios|e2e)')
LAB         ?= default
TOPOLOGY    ?= lab/topologies/default.yaml
PROCS       ?= 4

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help build race lab-up lab-down image image-base image-lock deb test unit scenarios planted e2e lint bench install install-vm install-test install-image clean

help: ## say what can be made
	@echo 'G8OS: a grid operating system, and a lab to try it in. As root on Debian 12:'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  Variables: LAB=$(LAB) TOPOLOGY=$(TOPOLOGY) NODES=N FIDELITY=netns|vm PROCS=$(PROCS) (labs side by side in tests)'
	@echo '             FOCUS="text" (make scenarios)  ONLY=section (make bench)'

build: ## all binaries, static, into bin/
	@mkdir -p bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(BINARIES)
	@$(MAKE) --no-print-directory bin/gocryptfs bin/g8frozen.so

# Clones of virtual machines start sooner with it (lab/vm/frozen). A machine
# without a C compiler does without.
bin/g8frozen.so: $(wildcard lab/vm/frozen/lib/*.[ch])
	@if command -v $(CC) >/dev/null; then $(CC) $(FROZEN_FLAGS) -o $@ $(filter %.c,$^); else echo 'no C compiler: machines of a lab will start slower'; fi

# gocryptfs pins libraries of its own, so it is a module of its own.
bin/gocryptfs: ci/tools/gocryptfs/go.mod ci/tools/gocryptfs/go.sum
	cd ci/tools/gocryptfs && go build -trimpath -tags without_openssl -ldflags '-s -w' -o ../../../bin/gocryptfs github.com/rfjakob/gocryptfs/v2

race: build ## the same with the race detector, into build/race/ (for the scenarios)
	@mkdir -p build/race
	CGO_ENABLED=1 go build -race -ldflags '-X $(MODULE)/core/version.version=$(VERSION) -X $(MODULE)/core/version.built=$(BUILT)' -o build/race/ $(BINARIES)
	@cp -f bin/gocryptfs $(wildcard bin/g8frozen.so) build/race/

lab-up: install $(if $(filter vm,$(FIDELITY)),install-vm image-base) build ## bring a grid up, wait for it, print it
	@bin/g8lab up $(TOPOLOGY) --lab $(LAB) $(if $(NODES),--nodes $(NODES)) $(if $(FIDELITY),--fidelity $(FIDELITY))

lab-down: ## take it down; leaves nothing
	@if [ -x bin/g8lab ]; then bin/g8lab down --lab $(LAB); else echo 'bin/g8lab is not built, so no lab of this checkout is up (make build)'; fi

image: install-image ## the operating system: build/g8os.img, g8os.qcow2, vmlinuz, initramfs; CA= NET_TOML= CMDLINE= KEY=
	@go run ./ci/image -out build -version '$(VERSION)' -built '$(BUILT)' $(if $(CA),-ca '$(CA)') $(if $(NET_TOML),-net-toml '$(NET_TOML)') $(if $(CMDLINE),-cmdline '$(CMDLINE)') $(if $(KEY),-key '$(KEY)')

image-base: install-image ## only kernel and initramfs: what reaches managed by itself
	@go run ./ci/image -out build -version '$(VERSION)' -built '$(BUILT)' -base-only

image-lock: install-image ## pin the packages of the image to what the archive has now
	@go run ./ci/image lock

deb: build ## g8os-core and g8os-ac as Debian packages, into build/
	@go run ./ci/deb -out build -version '$(VERSION)' -built '$(BUILT)'

test: install-test race image-base ## everything: unit and transcript tests with -race, then the scenarios
	@UNIT="$(UNIT)" PROCS=$(PROCS) ci/test all

unit: install-test build ## unit and transcript tests only, with -race
	@UNIT="$(UNIT)" ci/test unit

scenarios: install-test race $(if $(filter netns sim,$(FIDELITY)),,image) ## scenarios at every fidelity, and how they compare; FOCUS="text" FIDELITY=sim|netns|vm pick some
	@PROCS=$(PROCS) FOCUS='$(FOCUS)' FIDELITY='$(FIDELITY)' ci/test scenarios

# Bugs are built in by a tag, so what has them is built aside.
planted: $(if $(filter netns,$(FIDELITY)),install-test build) ## show that the testbed finds bugs that are planted; FIDELITY=netns on real daemons too
	@FIDELITY='$(FIDELITY)' G8OS_PLANTED_SEEDS=50 ci/test planted

e2e: image deb ## the built artefacts from outside: image, packages, CLI
	@ci/install e2e
	@ci/test e2e

lint: ## go vet, gofmt, staticcheck
	@ci/lint

bench: install-test build ## measure every bound and print one table; ONLY=section for a part
	@CGO_ENABLED=0 go run ./ci/bench $(if $(ONLY),-only '$(ONLY)')

install: ## say and install what a lab needs (make lab-up does it)
	@ci/install run

install-vm: ## and what its virtual machines need
	@ci/install vm

install-test: ## say and install what the tests need (make test does it)
	@ci/install test

install-image:
	@ci/install image

clean: ## remove what was built; a lab that is up stays up
	rm -rf bin build
