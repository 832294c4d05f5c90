package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envconfig"
)

// tagFlags say of which secrets the tags are made that stand for calls in the
// backend's log.
type tagFlags struct {
	SecretFile string `help:"A file with the backend's secrets, of which the tags of its log are made. Default: the backend's own variables, such as SERVERURL_SECRET." placeholder:"FILE" type:"path"`
}

// tagKeys are the keys of a backend's tags, the current one first. It is made of
// the first secret, so each secret that may be in its place, in a rotation, was or
// will be one. Those of other tenants never are.
type tagKeys struct {
	keys   [][sha256.Size]byte
	secret bool // false: the key is that of a backend without a secret
}

// needSecret says what to do where no secret is known.
const needSecret = "tags are made with the backend's secret: set SERVERURL_SECRET, or give --secret-file"

func (f tagFlags) tagKeys() (*tagKeys, error) {
	v := envconfig.New(envconfig.Server, os.Getenv).Verifier()
	if f.SecretFile != "" {
		secrets, err := secretFlags(f).readSecret()
		if err != nil {
			return nil, err
		}
		v = auth.Verifier{Secrets: auth.ParseSecrets(secrets)}
	}
	k := &tagKeys{secret: v.Count() > 0}
	all := slices.Concat(v.Secrets, v.SigningSecrets, v.StandardWebhooksSecrets)
	for _, s := range all {
		if s.Name() != all[0].Name() {
			continue
		}
		one := auth.Verifier{Secrets: []auth.Secret{s}}
		k.keys = append(k.keys, one.LogKey())
	}
	if !k.secret {
		k.keys = append(k.keys, v.LogKey())
	}
	return k, nil
}

// of returns the tags of a call, the current one first; none if no secret is known.
func (k *tagKeys) of(id event.CallID) []string {
	tags := []string{}
	if k == nil || !k.secret || id == "" {
		return tags
	}
	for _, key := range k.keys {
		tags = append(tags, calls.LogTag(key, id))
	}
	return tags
}

// has reports whether a tag is that of a call.
func (k *tagKeys) has(tag string, id event.CallID) bool {
	return slices.ContainsFunc(k.keys, func(key [sha256.Size]byte) bool { return calls.LogTag(key, id) == tag })
}

var tagPattern = regexp.MustCompile(`^[0-9a-f]{12}$`)

// tagPage is how many ids are read at a time, tagProgress after how many the
// search says how far it is.
const tagPage, tagProgress = 500, 10_000

// find looks for the calls of a tag, the newest first, until it has found one or has
// looked through as many as it may; limit 0 is all.
func (k *tagKeys) find(ctx context.Context, t *terminal, s records.Store, tag string, limit int) (found []event.CallID, err error) {
	n, after := 0, ""
	for {
		page := tagPage
		if limit > 0 {
			page = min(page, limit-n)
		}
		ids, next, err := calls.ListIDs(ctx, s, after, page)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if k.has(tag, id) {
				found = append(found, id)
			}
		}
		n, after = n+len(ids), next
		switch {
		case len(found) > 0:
			return found, nil
		case next == "" || limit > 0 && n >= limit:
			return nil, k.notFound(tag, n, next != "")
		case n%tagProgress == 0:
			fmt.Fprintf(t.err, "looked through %d calls\n", n)
		}
	}
}

func (k *tagKeys) notFound(tag string, n int, more bool) error {
	text := fmt.Sprintf("none of the %d calls in this store has the tag %s", n, tag)
	if more {
		text = fmt.Sprintf("none of the newest %d calls has the tag %s: --scan 0 looks through all", n, tag)
	}
	if !k.secret {
		text += "; " + needSecret
	}
	return errors.New(text)
}
