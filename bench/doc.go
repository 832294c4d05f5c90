// Package bench compares the adapters with the libraries that are common today. It
// is a separate module, so that those are not dependencies of this one.
//
//	cd bench && go test -bench . -benchmem ./...      # translation of each type of event
//	cd bench && go run ./cold                         # init, first and warm invocation; needs moto_server
//	cd bench && go test -run none -bench Vercel .     # the handler on Vercel, its connect and its start; needs PostgreSQL, pgbouncer
package bench
