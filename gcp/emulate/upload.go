package emulate

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/serverurl/serverurl/internal/ignorefile"
)

// UploadFiles returns the files of dir that `gcloud functions deploy --source=dir`
// uploads, with slashes, in lexical order: all that its .gcloudignore does not
// ignore.
func UploadFiles(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, ".gcloudignore"))
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	rules, err := ignorefile.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("emulate: .gcloudignore: %w", err)
	}
	files, err := rules.Files(dir)
	if err != nil {
		return nil, fmt.Errorf("emulate: %w", err)
	}
	return files, nil
}

// CopyUpload copies the upload of dir into an empty folder elsewhere, so that
// nothing outside of it can be found.
func CopyUpload(dir, to string) error {
	if err := ValidateRoot(dir); err != nil {
		return err
	}
	files, err := UploadFiles(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f))
		if err == nil {
			err = os.MkdirAll(filepath.Join(to, filepath.Dir(f)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f), data, 0o644)
		}
		if err != nil {
			return fmt.Errorf("emulate: %w", err)
		}
	}
	return nil
}

// ValidateRoot returns what of the folder Google's builder would not take, or
// would take for something else. It reads all Go files at the root for their
// package, tests and other systems' too.
func ValidateRoot(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	first, pkg := "", ""
	for _, e := range entries {
		switch {
		case e.Name() == "go.work" || e.Name() == "vendor":
			return fmt.Errorf("emulate: %s is at the root: Google's builder would go by it", e.Name())
		case e.IsDir() || !strings.HasSuffix(e.Name(), ".go"):
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.PackageClauseOnly)
		switch {
		case err != nil:
			return fmt.Errorf("emulate: %s cannot be parsed", e.Name())
		case f.Name.Name == "main":
			return fmt.Errorf("emulate: %s is of package main: Google's builder imports what is at the root", e.Name())
		case pkg != "" && f.Name.Name != pkg:
			return fmt.Errorf("emulate: %s is of package %s and %s of package %s: Google's builder takes one package at the root, tests counted", e.Name(), f.Name.Name, first, pkg)
		}
		first, pkg = e.Name(), f.Name.Name
	}
	if pkg == "" {
		return errors.New("emulate: no Go file is at the root: Google's builder finds no function")
	}
	return nil
}

// programDir is where Google's builder writes its main, inside the upload.
const programDir = "functions.local/app"

// program is a main like the one that Google's builder writes around the
// package at the root, but that it only listens on loopback. What decides is the
// type of the function.
const program = `package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	cloudevents "github.com/cloudevents/sdk-go/v2"

	root %q
)

func main() {
	var err error
	switch f := any(root.%s).(type) {
	case func(http.ResponseWriter, *http.Request):
		err = funcframework.RegisterHTTPFunctionContext(context.Background(), "/", f)
	case func(context.Context, cloudevents.Event) error:
		err = funcframework.RegisterCloudEventFunctionContext(context.Background(), "/", f)
	default:
		err = funcframework.RegisterEventFunctionContext(context.Background(), "/", f)
	}
	if err == nil {
		err = funcframework.StartHostPort("127.0.0.1", os.Getenv("PORT"))
	}
	log.Fatal(err)
}
`

// BuildFunction builds the function of an upload, with the main around it, for
// this machine. upload is changed by it: see Copy.
func BuildFunction(ctx context.Context, upload, target, out string, tags ...string) error {
	module, err := goCommand(ctx, upload, "list", "-m")
	if err != nil {
		return err
	}
	dir := filepath.Join(upload, programDir, strings.ToLower(target))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	main := fmt.Sprintf(program, strings.TrimSpace(module), target)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(main), 0o644); err != nil {
		return fmt.Errorf("emulate: %w", err)
	}
	if _, err := goCommand(ctx, upload, "mod", "tidy"); err != nil { // as Google's builder does
		return err
	}
	_, err = goCommand(ctx, upload, "build", "-trimpath", "-ldflags", "-s -w", "-tags", strings.Join(tags, ","), "-o", out, "./"+programDir+"/"+strings.ToLower(target))
	return err
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		var said []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			said = exit.Stderr
		}
		return "", fmt.Errorf("emulate: go %s: %w\n%s", args[0], err, said)
	}
	return string(out), nil
}
