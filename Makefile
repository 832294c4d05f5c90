# What `sam build` runs for each function of template.yaml: one program in three
# roles. SAM's own Go builder cannot set build tags or a package below the root.
.PHONY: build-ReceiverFunction build-WorkerFunction build-SweeperFunction
build-ReceiverFunction build-WorkerFunction build-SweeperFunction:
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags lambda.norpc -trimpath -ldflags "-s -w" -o "$(ARTIFACTS_DIR)/bootstrap" ./cmd/lambda

# Every fuzz target for FUZZTIME inputs, one after the other: go test -fuzz takes one at
# a time. What one finds is kept in the package's testdata/fuzz.
FUZZTIME ?= 300000x
.PHONY: fuzz
fuzz:
	@grep -rlE '^func Fuzz' --include=*_test.go --exclude-dir=node_modules . | while read -r file; do \
	  for target in $$(grep -oE '^func Fuzz\w+' $$file | cut -c6-); do \
	    go test ./$$(dirname $$file) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) </dev/null || exit 1; \
	  done; \
	done
