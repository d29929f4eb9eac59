package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"gopkg.in/sourcemap.v1"

	"picloud/app/cloud"
)

// Bundle is a function ready to be deployed.
type Bundle struct {
	*Function
	Source string
	Inputs []string // files that it was made of, relative to the directory, with slashes

	dir       string
	sourceMap []byte // nil when Source is the file as it is
}

// BuildError is what is wrong with sources, with the lines at fault.
type BuildError struct{ messages []api.Message }

func (e *BuildError) Error() string {
	text := make([]string, len(e.messages))
	for i, m := range e.messages {
		text[i] = m.Text
		if l := m.Location; l != nil {
			text[i] = fmt.Sprintf("%s:%d:%d: %s", l.File, l.Line, l.Column+1, m.Text)
		}
	}
	return strings.Join(text, "\n")
}

// Frames shows each fault in its lines, in colour for a terminal.
func (e *BuildError) Frames(color bool) string {
	return strings.Join(api.FormatMessages(e.messages, api.FormatMessagesOptions{Kind: api.ErrorMessage, Color: color}), "")
}

// Build bundles every function: TypeScript and what is imported from files and from
// node_modules become one module of ES2023. A JavaScript file that imports nothing is left
// as it is, and so is one for the engine otto. Imports of app:… stay: the instance resolves
// them. The error is a *BuildError when sources are at fault.
func (p *Project) Build() ([]*Bundle, error) {
	var toBundle []string
	for _, f := range p.Functions {
		if f.text("engine") != cloud.EngineOtto {
			toBundle = append(toBundle, f.File)
		}
	}
	made, err := bundle(p.Dir, toBundle, api.FormatESModule)
	if err != nil {
		return nil, err
	}
	var bundles []*Bundle
	for _, f := range p.Functions {
		b := made[f.File]
		if b == nil {
			b = &Bundle{Inputs: []string{f.File}, dir: p.Dir}
		}
		own := *b
		own.Function = f
		if err := own.keepAsItIs(); err != nil {
			return nil, err
		}
		bundles = append(bundles, &own)
	}
	return bundles, nil
}

// keepAsItIs takes the file itself where bundling had nothing to do, so that lines and
// comments are those of its author.
func (b *Bundle) keepAsItIs() error {
	ext := filepath.Ext(b.File)
	if len(b.Inputs) != 1 || ext != ".js" && ext != ".mjs" {
		if b.text("engine") == cloud.EngineOtto {
			return cloud.Errorf(cloud.Invalid, "%s: the engine otto takes plain JavaScript (ES5) in a file named .js", b.File)
		}
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, filepath.FromSlash(b.File)))
	if err != nil {
		return fmt.Errorf("read a function: %w", err)
	}
	b.Source, b.sourceMap = string(raw), nil
	return nil
}

// bundle makes one output of each file.
func bundle(dir string, files []string, format api.Format) (map[string]*Bundle, error) {
	if len(files) == 0 {
		return nil, nil
	}
	entries := make([]api.EntryPoint, len(files))
	for i, f := range files {
		entries[i] = api.EntryPoint{InputPath: "./" + f, OutputPath: strconv.Itoa(i)}
	}
	res := api.Build(api.BuildOptions{
		EntryPointsAdvanced: entries, AbsWorkingDir: dir, Outdir: dir, Bundle: true, Metafile: true,
		Format: format, Target: api.ES2023, Platform: api.PlatformNeutral,
		MainFields: []string{"module", "main"}, Conditions: []string{"picloud", "module"}, External: []string{"app:*"},
		Sourcemap: api.SourceMapExternal, SourcesContent: api.SourcesContentExclude,
		Charset: api.CharsetUTF8, LogLevel: api.LogLevelSilent, LogLimit: maxMessages,
	})
	if len(res.Errors) > 0 {
		return nil, &BuildError{res.Errors}
	}
	return collect(dir, files, &res)
}

const maxMessages = 50 // of one build

func collect(dir string, files []string, res *api.BuildResult) (map[string]*Bundle, error) {
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string              `json:"entryPoint"`
			Inputs     map[string]struct{} `json:"inputs"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(res.Metafile), &meta); err != nil {
		return nil, fmt.Errorf("read what the bundler did: %w", err)
	}
	made := map[string]*Bundle{}
	for _, out := range res.OutputFiles {
		name, isMap := strings.CutSuffix(filepath.Base(out.Path), ".map")
		i, err := strconv.Atoi(strings.TrimSuffix(name, ".js"))
		if err != nil || i >= len(files) {
			continue
		}
		b := made[files[i]]
		if b == nil {
			b = &Bundle{dir: dir}
			made[files[i]] = b
		}
		if isMap {
			b.sourceMap = out.Contents
			continue
		}
		b.Source = string(out.Contents)
		b.Inputs = slices.Sorted(maps.Keys(meta.Outputs[name].Inputs))
	}
	return made, nil
}

// Position is where a line and a column (from 1) of the source come from; the same in the
// function's file when it was left as it is. A column of 0 is unknown.
func (b *Bundle) Position(line, column int) (file string, l, c int) {
	if line < 1 {
		return "", 0, 0
	}
	if b.sourceMap == nil {
		return b.File, line, column
	}
	m, err := sourcemap.Parse("", b.sourceMap)
	if err != nil {
		return "", 0, 0
	}
	file, _, l, c, ok := m.Source(line, max(column-1, 0))
	if !ok {
		return "", 0, 0
	}
	return file, l, c + 1
}

// Trace makes the places of a stack, as the instance wrote it, those of the author's files,
// and shows the first of them in its lines.
func (b *Bundle) Trace(stack string) (trace, frame string) {
	own := regexp.MustCompile(`(^|[\s(])` + regexp.QuoteMeta(b.Name) + `\.js:(\d+):(\d+)`)
	trace = own.ReplaceAllStringFunc(stack, func(s string) string {
		m := own.FindStringSubmatch(s)
		file, l, c := b.Position(atoi(m[2]), atoi(m[3]))
		if file == "" {
			return s
		}
		if frame == "" {
			frame = b.Frame(file, l, c)
		}
		return fmt.Sprintf("%s%s:%d:%d", m[1], file, l, c)
	})
	return trace, frame
}

// Frame shows a line of a file with those around it and a mark below the column, "" when
// the file can't be read.
func (b *Bundle) Frame(file string, line, column int) string { return frame(b.dir, file, line, column) }

func frame(dir, file string, line, column int) string {
	if line < 1 || !filepath.IsLocal(filepath.FromSlash(file)) {
		return ""
	}
	raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		return ""
	}
	lines := strings.Split(string(raw), "\n")
	if line > len(lines) {
		return ""
	}
	var text strings.Builder
	for n := max(1, line-2); n <= min(len(lines), line+1); n++ {
		fmt.Fprintf(&text, "%6d │ %s\n", n, strings.ReplaceAll(strings.TrimRight(lines[n-1], "\r"), "\t", " "))
		if n == line && column > 0 {
			fmt.Fprintf(&text, "       ╵ %s^\n", strings.Repeat(" ", column-1))
		}
	}
	return text.String()
}
