module github.com/serverurl/serverurl/bench

go 1.26.0

toolchain go1.26.8

replace github.com/serverurl/serverurl => ../

require (
	github.com/aws/aws-lambda-go v1.55.1
	github.com/awslabs/aws-lambda-go-api-proxy v0.16.2
	github.com/go-json-experiment/json v1.27.2
	github.com/serverurl/serverurl v0.0.0-00010101000000-000000000000
)

require (
	github.com/google/jsonschema-go v0.4.3 // indirect
	golang.org/x/tools v0.52.0 // indirect
)
