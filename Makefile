# What a person runs. Each target says itself what it does; longer ones are scripts below .ci/.
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test e2e lint fuzz crash bench clean

build: # ./helios, one static binary; make build VERSION=1.2.3 sets the version it reports
	@.ci/build

demo: # a cluster on this machine, with a job on it, shown command by command
	@.ci/setup docker
	@.ci/build
	@.ci/demo

test: # all tests, with real Docker and ZooKeeper; what is missing is installed
	@.ci/setup test
	@.ci/test

e2e: # of these, the tests of whole processes and of the engine; with FAULTS=1 the fault suite instead, whole, and its table
	@.ci/setup test
	@.ci/$(if $(FAULTS),faults,test ./roles/... ./supervisor/...)

lint: # format, vet, modules, staticcheck, layout
	@.ci/lint $(GOFUMPT) $(STATICCHECK)

fuzz: # every fuzz target for FUZZTIME (10s)
	@.ci/fuzz

crash: # the embedded server killed under load, a hundred times
	@go test -count=1 -run Killed -v ./store/zkserver -zk.rounds 100

bench: # the speed bars, beside Docker alone and ZooKeeper, and every benchmark
	@.ci/setup test
	@go test -run '^$$' -bench . -benchmem ./...

clean: # what the other targets made
	@rm -rf helios .build test.json
