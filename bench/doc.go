// Package bench measures the adapters beside the libraries that people use
// today. It is a module of its own, so that those stay out of ours.
//
//	cd bench && go test -bench . -benchmem ./...      # translation of each shape of event
//	cd bench && go run ./cold                         # init, first and warm invocation; needs moto_server
//	cd bench && go test -run none -bench Vercel .     # the handler on Vercel, its connect and its start; needs PostgreSQL, pgbouncer
package bench
