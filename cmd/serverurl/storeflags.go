package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/callstate"
)

// storeFlags say where the calls are. Every command that reads or writes calls
// takes this one flag, whatever the platform.
type storeFlags struct {
	Store string `help:"Where the calls are: sqlite:DIR or sqlite:FILE, postgres://…, aws://TABLE?queue=URL&dlq=URL, or gcp://PROJECT/NAME. Default: the variable SERVERURL_DATABASE_URL, or the folder SERVERURL_DATA, or the folder .serverurl." placeholder:"URL"`
}

// A location is where a backend stores its calls and events, read from a URL.
// One field of each platform is not empty.
type location struct {
	sqlite   string // the file
	postgres string // the URL

	table      string // the DynamoDB table
	queue, dlq string // URLs of SQS queues; either may be empty

	project, name string // on Google Cloud: the project, and what deploy.sh calls --name
}

// location returns what the flag or the environment names.
func (f storeFlags) location() (location, error) {
	if err := noPassword("--store", f.Store); err != nil {
		return location{}, err
	}
	return parseLocation(cmp.Or(f.Store, os.Getenv("SERVERURL_DATABASE_URL"), os.Getenv("SERVERURL_DATA"), ".serverurl"))
}

// noPassword returns a usage error if the value of a flag holds a password:
// other users of this machine can read a process's arguments.
func noPassword(flag, where string) error {
	u, err := url.Parse(where)
	if err != nil { // its error quotes the URL
		if strings.Contains(where, "://") {
			return usageError{fmt.Errorf("%s is not a URL", flag)}
		}
		return nil
	}
	if _, set := u.User.Password(); set || u.Query().Has("password") {
		return usageError{fmt.Errorf("%s holds a password, which other users of this machine can see: set PGPASSWORD, or put the URL into SERVERURL_DATABASE_URL", flag)}
	}
	return nil
}

// parseLocation reads the value of --store, or of the variables. Its errors never quote
// the value, which may hold a password.
func parseLocation(where string) (location, error) {
	scheme, _, found := strings.Cut(where, "://")
	switch {
	case strings.HasPrefix(where, "sqlite:"):
		return location{sqlite: sqliteFile(strings.TrimPrefix(strings.TrimPrefix(where, "sqlite:"), "//"))}, nil
	case !found: // a path, as SERVERURL_DATA has it
		return location{sqlite: sqliteFile(where)}, nil
	case scheme == "postgres" || scheme == "postgresql":
		return location{postgres: where}, nil
	case scheme == "aws":
		return parseAWS(where)
	case scheme == "gcp":
		return parseGCP(where)
	}
	return location{}, usageError{fmt.Errorf("--store starts with %s://; want sqlite:, postgres://, aws:// or gcp://", scheme)}
}

func parseAWS(where string) (location, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return location{}, usageError{errors.New("--store does not name a table: want aws://TABLE?queue=URL&dlq=URL, the stack's outputs TableName, QueueURL and DeadQueueURL")}
	}
	q := u.Query()
	for name := range q {
		if name != "queue" && name != "dlq" { // a typo must not hide the dead letters
			return location{}, usageError{fmt.Errorf("--store has %q; aws://TABLE takes queue and dlq", name)}
		}
	}
	return location{table: u.Host, queue: q.Get("queue"), dlq: q.Get("dlq")}, nil
}

func parseGCP(where string) (location, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || strings.Contains(strings.Trim(u.Path, "/"), "/") || u.RawQuery != "" {
		return location{}, usageError{errors.New("--store does not name a project: want gcp://PROJECT/NAME, with the --name of gcp/deploy.sh")}
	}
	// The default is that of deploy.sh.
	return location{project: u.Host, name: cmp.Or(strings.Trim(u.Path, "/"), "serverurl")}, nil
}

// sqliteFile returns the database file that a path means: the path itself if it
// is a file, or is named like one that does not exist yet; else the file that
// a backend makes in its folder.
func sqliteFile(path string) string {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() || err != nil && filepath.Ext(path) == ".db" {
		return path
	}
	return filepath.Join(path, "serverurl.db")
}

// String names the location for a person, without user or password.
func (l location) String() string {
	switch {
	case l.postgres != "":
		return "PostgreSQL"
	case l.table != "":
		return "DynamoDB, " + l.table
	case l.project != "":
		return "Firestore, " + l.project
	}
	return filepath.Dir(l.sqlite)
}

// database returns the location as package sqldb takes it.
func (l location) database() (string, error) {
	if l.sqlite == "" && l.postgres == "" {
		return "", usageError{errors.New("--store: the backend on this machine stores calls in sqlite: or postgres:// only")}
	}
	return cmp.Or(l.postgres, l.sqlite), nil
}

// create makes the folder of a SQLite file.
func (l location) create() error {
	if l.sqlite == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.sqlite), 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder %s: name another with --store", filepath.Dir(l.sqlite))
	}
	return nil
}

// actorFlags say in whose name something is done.
type actorFlags struct {
	Actor string `help:"Who does it, for the audit log. Default: the user of this machine." placeholder:"NAME"`
}

// actor returns who does it. It is not a proof: see docs/operating.md#audit-log.
func (f actorFlags) actor() string {
	if f.Actor != "" {
		return f.Actor
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

// explain returns the error of a command about a call, a dead letter or a body, with
// what to type next.
func explain(err error, id string) error {
	switch {
	case errors.Is(err, callstate.ErrNotFound):
		return fmt.Errorf("no call %q in this store: serverurl calls lists them", id)
	case errors.Is(err, callstate.ErrOnHold):
		return fmt.Errorf("the call is on hold: serverurl calls release %s ends that", id)
	case errors.Is(err, core.ErrDeadLetterNotFound):
		return fmt.Errorf("no dead letter %q: serverurl dlq list shows them", id)
	case errors.Is(err, calls.ErrNotQuarantined):
		return fmt.Errorf("no body %q in quarantine: serverurl quarantine list shows them", id)
	case errors.Is(err, core.ErrStillUnreadable):
		return fmt.Errorf("%s is still not an event that can be accepted: serverurl quarantine show %[1]s", id)
	case errors.Is(err, core.ErrUndecodable):
		return fmt.Errorf("the dead letter %s does not hold a readable event: it can only be deleted", id)
	}
	return err
}
