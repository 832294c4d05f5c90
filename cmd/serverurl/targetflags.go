package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/serverurl/serverurl/core/auth"
)

// secretFlags say which secret authenticates the sender. There is no flag with the secret itself:
// other users of this machine can read a process's arguments.
type secretFlags struct {
	SecretFile string `help:"A file with the sender's secret. Default: the variable SERVERURL_SECRET." placeholder:"FILE" type:"path"`
}

// readSecret returns what is in the file or the variable: one secret, several with
// commas between them during a rotation, or "".
func (f secretFlags) readSecret() (string, error) {
	if f.SecretFile == "" {
		return os.Getenv("SERVERURL_SECRET"), nil
	}
	b, err := os.ReadFile(f.SecretFile)
	if err != nil {
		return "", usageError{fmt.Errorf("--secret-file %s cannot be read", f.SecretFile)}
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" { // an empty secret would mean none
		return "", usageError{fmt.Errorf("--secret-file %s is empty", f.SecretFile)}
	}
	return secret, nil
}

// secretOf returns the first of several secrets, which a sender uses: of a tenant, or
// of anybody if tenant is "". It returns whose it is.
func secretOf(secrets, tenant string) (secret, of string, err error) {
	var names []string
	for part := range strings.SplitSeq(secrets, ",") {
		name, secret := auth.CutName(part)
		if tenant == "" || name == tenant {
			return secret, name, nil
		}
		names = append(names, name)
	}
	return "", "", usageError{fmt.Errorf("--tenant %s: no secret has this name; there is %s", tenant, strings.Join(names, ", "))}
}

// targetFlags say which server is sent to, and how the sender authenticates.
type targetFlags struct {
	URL string `help:"The root of the server's URLs, or the URL of its events." placeholder:"URL"`
	secretFlags
	Tenant string `help:"Send with the secret of this name. Default: the first." placeholder:"NAME"`
}

// A target is the server that a command sends to.
type target struct {
	url, secret string
	tenant      string // the name of the secret
	tool        string // the path of a tool's URL, if that was given
}

// target returns where to send to, with the secret.
func (f targetFlags) target() (target, error) {
	if f.URL == "" {
		return target{}, usageError{errors.New("--url is needed, such as: --url http://127.0.0.1:8080")}
	}
	secret, err := f.readSecret()
	if err != nil {
		return target{}, err
	}
	to := target{}
	to.url, to.tool = splitURL(f.URL)
	to.secret, to.tenant, err = secretOf(secret, f.Tenant)
	return to, err
}

// root is target for commands that send to more than one URL of a server.
func (f targetFlags) root() (target, error) {
	to, err := f.target()
	if err == nil && to.tool != "" {
		err = usageError{fmt.Errorf("--url ends in %s, a tool: want the root of the server's URLs, %s", to.tool, to.url)}
	}
	return to, err
}

// splitURL returns the root of a server's URLs. It takes the URL of the events as
// well, which is what a dashboard has, and the URL of a tool.
func splitURL(url string) (root, tool string) {
	root = strings.TrimRight(url, "/")
	if events, ok := strings.CutSuffix(root, "/events"); ok {
		return strings.TrimRight(events, "/"), ""
	}
	if i := strings.LastIndex(root, "/tools/"); i >= 0 && !strings.Contains(root[i+len("/tools/"):], "/") {
		return strings.TrimRight(root[:i], "/"), root[i:]
	}
	return root, ""
}
