# What `sam build` runs for each function of template.yaml: one program in three
# roles. SAM's own Go builder cannot set build tags or a package below the root.
.PHONY: build-ReceiverFunction build-WorkerFunction build-SweeperFunction
build-ReceiverFunction build-WorkerFunction build-SweeperFunction:
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags lambda.norpc -trimpath -ldflags "-s -w" -o "$(ARTIFACTS_DIR)/bootstrap" ./cmd/lambda
