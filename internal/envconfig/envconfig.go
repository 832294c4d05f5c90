// Package envconfig knows every environment variable that a deployed program
// reads, for the programs themselves, their help and the docs.
//
// It reads nothing by itself, not even the environment, and no secret from
// anywhere else. It imports nothing that a Worker has no space for.
//
//	env := envconfig.New(envconfig.GCP, os.Getenv)
//	verifier, err := env.Verifier()
//	retention, err := env.Retention()
//	topic, err := env.Required("SERVERURL_TOPIC")
package envconfig

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
)

// An Env is the environment of a platform.
type Env struct {
	platform Platform
	names    []string
	getenv   func(string) string
}

// New returns the environment of a platform.
func New(p Platform, getenv func(string) string) Env {
	e := Env{platform: p, getenv: getenv}
	for _, v := range of(p) {
		e.names = append(e.names, v.name)
	}
	return e
}

// Get returns the value of a variable, "" if it is not set. It panics for one
// that is not in the table: help and docs would not have it.
func (e Env) Get(name string) string {
	if !slices.Contains(e.names, name) {
		panic("envconfig: " + string(e.platform) + " reads " + name + ", which is not in the table")
	}
	return e.getenv(name)
}

// Required returns the value of a variable, or an error if it is not set.
func (e Env) Required(name string) (string, error) {
	if v := e.Get(name); v != "" {
		return v, nil
	}
	i := slices.IndexFunc(variables, func(v variable) bool { return v.name == name && slices.Contains(v.platforms, e.platform) })
	return "", fmt.Errorf("%s: %s is not set: %s", e.platform, name, plain(variables[i].meaning))
}

// Resolve returns the environment with the values of the variables that are
// named by another one, whose name ends in _ARN. read is called for each of
// those that are set, unless the variable itself is.
func (e Env) Resolve(read func(arn string) (string, error)) (Env, error) {
	values := map[string]string{}
	for _, name := range e.names {
		if !slices.Contains(e.names, name+arn) || e.Get(name+arn) == "" || e.Get(name) != "" {
			continue
		}
		value, err := read(e.Get(name + arn))
		if err != nil {
			return e, err
		}
		values[name] = value
	}
	getenv := e.getenv
	e.getenv = func(name string) string {
		if v, ok := values[name]; ok {
			return v
		}
		return getenv(name)
	}
	return e, nil
}

// Verifier returns how the sender authenticates. Without a secret it accepts
// nobody, which is an error where a processor is bound.
func (e Env) Verifier() auth.Verifier {
	return auth.Verifier{
		Secrets:                 auth.ParseSecrets(e.Get("SERVERURL_SECRET")),
		SigningSecrets:          auth.ParseSecrets(e.Get("SERVERURL_SIGNING_SECRET")),
		StandardWebhooksSecrets: auth.ParseSecrets(e.Get("SERVERURL_STANDARD_WEBHOOKS_SECRET")),
	}
}

// HasSecret reports whether any secret is set.
func (e Env) HasSecret() bool {
	v := e.Verifier()
	return len(v.Secrets)+len(v.SigningSecrets)+len(v.StandardWebhooksSecrets) > 0
}

// Retention returns how long data is stored.
func (e Env) Retention() (calls.Retention, error) {
	return calls.ParseRetention(e.Get("SERVERURL_RETENTION"))
}

// Int returns a variable that is a positive number, 0 if it is not set.
func (e Env) Int(name string) (int, error) {
	s := e.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 || n > 1<<20 {
		return 0, fmt.Errorf("%s: %s is not a positive number", e.platform, name)
	}
	return n, nil
}

// Duration returns a variable that is a duration, 0 if it is not set.
func (e Env) Duration(name string) (time.Duration, error) {
	s := e.Get(name)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: %s is not a duration such as 3s", e.platform, name)
	}
	return d, nil
}
