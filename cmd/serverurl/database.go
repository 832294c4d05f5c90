package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/serverurl/serverurl/sqldb"
)

// databaseFlags say where a backend keeps its calls.
type databaseFlags struct {
	Data        string `help:"The folder with the backend's data." env:"SERVERURL_DATA" default:".serverurl" placeholder:"DIR" type:"path"`
	DatabaseURL string `help:"A Postgres URL, in place of a folder." env:"SERVERURL_DATABASE_URL" placeholder:"URL"`
}

// url is the database, as package sqldb takes it.
func (d databaseFlags) url() string {
	if d.DatabaseURL != "" {
		return d.DatabaseURL
	}
	return filepath.Join(d.folder(), "serverurl.db")
}

// folder is the default too where the environment has the variable empty.
func (d databaseFlags) folder() string { return cmp.Or(d.Data, ".serverurl") }

// create makes the folder where there is none.
func (d databaseFlags) create() error {
	if d.DatabaseURL != "" {
		return nil
	}
	if err := os.MkdirAll(d.folder(), 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder %s: name another with --data", d.folder())
	}
	return nil
}

// open opens the database of a backend that has run before.
func (d databaseFlags) open(ctx context.Context) (*sqldb.Database, error) {
	if d.DatabaseURL == "" {
		if _, err := os.Stat(d.url()); errors.Is(err, fs.ErrNotExist) {
			return nil, usageError{fmt.Errorf("no backend has kept data in %s: name its folder with --data, or start one: serverurl dev --data %s", d.folder(), d.folder())}
		}
	}
	return sqldb.Open(ctx, d.url())
}
