// Command uploadlist writes .gcloudignore and .vercelignore, the lists of files that a
// deployment uploads, from the output of `go list` for its programs. Any other file in
// the folder, such as a database or an .env, is never uploaded.
//
//	go run ./internal/testing/uploadlist -w    # after a package has come, gone or moved
//
// Without -w it prints them.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An upload is what a deployment to one platform uploads.
type upload struct {
	file     string   // where its rules are
	deploys  string   // by what
	programs []string // packages that are built there: "FOLDER PATTERN", the folder that of a module
	others   []string // what the build needs besides
}

var uploads = []upload{
	{
		file: ".gcloudignore", deploys: "`gcloud functions deploy --source=.` and `gcloud run deploy --source=.`",
		programs: []string{". .", ". ./cmd/server"},
		others:   []string{"go.mod", "go.sum"},
	},
	{
		file: ".vercelignore", deploys: "`vercel deploy`, for cmd/vercel and for examples/vercel-function,",
		programs: []string{". ./cmd/vercel", "examples/vercel-function ./..."},
		others: []string{
			".vercelignore", "go.mod", "go.sum", "vercel.json", "public/robots.txt",
			"examples/vercel-function/go.mod", "examples/vercel-function/go.sum", "examples/vercel-function/tools.go",
			"examples/vercel-function/vercel.json", "examples/vercel-function/public/robots.txt",
		},
	},
}

func main() {
	write := flag.Bool("w", false, "write the files")
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "uploadlist:", err)
		os.Exit(1)
	}
}

func run(write bool) error {
	out, err := goList(".", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	root := strings.TrimSpace(string(out))
	for _, u := range uploads {
		text, err := u.rules(root)
		if err != nil {
			return err
		}
		if !write {
			fmt.Print(text)
			continue
		}
		if err := os.WriteFile(filepath.Join(root, u.file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// rules returns the text of u's file. In each folder it ignores everything and
// then takes back what is needed, level by level, in the part of the syntax that
// all readers agree on: to gcloud a "*" alone is the top level only, and Vercel
// does not see that what it looks at is a folder ("/" at the end).
func (u upload) rules(root string) (string, error) {
	dirs, files, err := u.needs(root)
	if err != nil {
		return "", err
	}
	wanted := map[string][]string{} // what of a folder is uploaded
	add := func(name string) {
		for ; name != "."; name = path.Dir(name) {
			wanted[path.Dir(name)] = append(wanted[path.Dir(name)], name)
		}
	}
	for _, dir := range dirs {
		add(path.Join(dir, "*.go"))
	}
	for _, file := range files {
		add(file)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by `go run ./internal/testing/uploadlist -w`; do not edit.\n#\n# %s\n# uploads these files and nothing else: what go list reports as needed.\n", u.deploys)
	var list func(dir string)
	list = func(dir string) {
		fmt.Fprintf(&b, "%s\n", path.Join("/", dir, "*"))
		names := wanted[dir]
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			fmt.Fprintf(&b, "!/%s\n", name)
			if wanted[name] != nil {
				list(name)
			}
		}
	}
	list(".")
	b.WriteString("*_test.go\n")
	return b.String(), nil
}

// needs returns the folders whose Go files u's programs are built from, those
// for other systems too, and all other files.
func (u upload) needs(root string) (dirs, files []string, err error) {
	files = slices.Clone(u.others)
	for _, program := range u.programs {
		module, pattern, _ := strings.Cut(program, " ")
		packages, err := listPackages(filepath.Join(root, module), pattern)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range packages {
			dir, err := filepath.Rel(root, p.Dir)
			if err != nil || strings.HasPrefix(dir, "..") {
				continue // of the standard library or another module
			}
			dir = filepath.ToSlash(dir)
			dirs = append(dirs, dir)
			for _, file := range slices.Concat(p.EmbedFiles, p.SFiles) {
				files = append(files, path.Join(dir, file))
			}
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), files, nil
}

// A goPackage is a package in the output of `go list -json`.
type goPackage struct {
	Dir                         string
	GoFiles, EmbedFiles, SFiles []string
}

func listPackages(dir, pattern string) (packages []goPackage, err error) {
	out, err := goList(dir, "-deps", "-json=Dir,GoFiles,EmbedFiles,SFiles", pattern)
	if err != nil {
		return nil, err
	}
	for dec := jsontext.NewDecoder(strings.NewReader(string(out))); dec.PeekKind() != 0; {
		var p goPackage
		if err := json.UnmarshalDecode(dec, &p); err != nil {
			return nil, fmt.Errorf("go list in %s: %w", dir, err)
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// goList runs go list with the settings of both platforms.
func goList(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w", dir, err)
	}
	return out, nil
}
