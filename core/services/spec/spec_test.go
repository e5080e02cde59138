package spec

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/g8os/g8os/core/services/order"
)

// names are those of the services of a file.
func names(f File) (all []string) {
	for _, s := range f.Services {
		all = append(all, s.Name)
	}
	return all
}

func TestAWholeDeclaration(t *testing.T) {
	f := Parse("web.toml", []byte(`# what a shop needs
[service.web]
command = ["/opt/web/bin/web", "--port", "8080"]
env = { B = "2", A = "1" }
user = "www-data"
dir = "/opt/web"
after = ["db"]
condition = ["/opt/web/bin/web"]
restart = "on-failure"
backoff = { min = "500ms", max = "20s" }
limit = { starts = 5, within = "10m" }
stop = { signal = "SIGINT", grace = "30s" }
log = { size = "64KiB", keep = 0 }
private_tmp = true
no_network = true
[service.web.ready]
http = "http://127.0.0.1:8080/health"
timeout = "5s"
[service.web.limits]
cpu = 1.5
memory = "512MiB"
pids = 100
io = [{ device = "/dev/vda", read = "10MiB" }]

[service.db]
command = "exec db --fast"
`))
	if len(f.Problems) > 0 || len(f.Services) != 2 {
		t.Fatalf("%v, %v", f.Problems, names(f))
	}
	want := Service{
		Name: "web", File: "web.toml", Line: 2, Command: []string{"/opt/web/bin/web", "--port", "8080"}, Env: []string{"A=1", "B=2"}, User: "www-data", Dir: "/opt/web",
		After: []string{"db"}, Condition: []string{"/opt/web/bin/web"}, Ready: Ready{HTTP: "http://127.0.0.1:8080/health", Timeout: 5 * time.Second},
		Restart: order.OnFailure, MinPause: time.Second / 2, MaxPause: 20 * time.Second, MaxStarts: 5, Within: 10 * time.Minute, Signal: "INT", Grace: 30 * time.Second,
		Limits:     Limits{CPU: 1.5, Memory: 512 << 20, Pids: 100, IO: []IO{{Device: "/dev/vda", Read: 10 << 20}}},
		Namespaces: []string{"mount", "net"}, PrivateTmp: true, LogSize: 64 << 10, LogKeep: 0,
	}
	if !reflect.DeepEqual(f.Services[0], want) {
		t.Errorf("got  %+v\nwant %+v", f.Services[0], want)
	}
	if db := f.Services[1]; !reflect.DeepEqual(db.Command, []string{"/bin/sh", "-c", "exec db --fast"}) || db.Restart != order.Always || db.Line != 25 {
		t.Errorf("%+v", db)
	}
	if a, b := f.Services[0].Version(), f.Services[1].Version(); a == b || a == "" {
		t.Errorf("versions %q and %q", a, b)
	}
}

// Each mistake is said once, with its line, and costs its service alone.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ line, says string }{
		{`comand = ["/bin/x"]`, `x.toml:4: service.bad.comand: unknown key (did you mean command?); expected one of command, env`},
		{`ready = { tpc = "1:2" }`, `x.toml:4: service.bad.ready.tpc: unknown key (did you mean tcp?); expected one of alive_for, tcp`},
		{`oneshot = "yes"`, `x.toml:4: service.bad.oneshot: cannot decode`},
		{`after = "db"`, `x.toml:4: service.bad.after: `},
		{`every = "often"`, `x.toml:4: service.bad.every: "often" is no duration`},
		{`every = "-1s"`, `x.toml:4: service.bad.every: "-1s" is no duration`},
		{`cron = "61 * * * *"`, `x.toml:4: service.bad.cron: end of range (61) above maximum`},
		{`limits = { memory = "much" }`, `x.toml:4: service.bad.limits: "much" is no size`},
		{`limits = { cpu = -1.0 }`, `x.toml:4: service.bad.limits.cpu: is -1`},
		{`ready = { output = "(" }`, `x.toml:4: service.bad.ready: error parsing regexp`},
		{`ready = { tcp = "127.0.0.1:1", notify = true }`, `x.toml:4: service.bad.ready: names several tests`},
		{`ready = { tcp = "nowhere" }`, `x.toml:4: service.bad.ready.tcp: "nowhere" is no address`},
		{`ready = { http = "nowhere" }`, `x.toml:4: service.bad.ready.http: "nowhere" is no URL`},
		{`restart = "sometimes"`, `x.toml:4: service.bad.restart: is "sometimes"; expected "always", "on-failure" or "never"`},
		{`stop = { signal = "SEGV" }`, `x.toml:4: service.bad.stop.signal: is "SEGV"; expected one of TERM`},
		{`dir = "here"`, `x.toml:3: service.bad: "here" is no full path`},
		{`namespaces = ["all"]`, `x.toml:4: service.bad.namespaces: has "all"; expected some of mount`},
		{`log = { keep = -1 }`, `x.toml:4: service.bad.log.keep: is -1; expected 0 to 100`},
		{`backoff = { min = "2m", max = "1m" }`, `x.toml:4: service.bad.backoff: min is more than max`},
		{`runtime = "lxc"`, `x.toml:4: service.bad.runtime: is "lxc"; expected "process", "docker" or "kvm"`},
		{`command = []`, `x.toml:4: service.bad.command: `},
		{"[service.bad.ready]\nnotify = true\nnotify = true", `x.toml:6: service.bad.ready.notify: `},
	} {
		command := "command = \"true\"\n"
		if strings.HasPrefix(tt.line, "com") {
			command = ""
		}
		f := Parse("x.toml", []byte("[service.before]\ncommand=\"true\"\n[service.bad]\n"+tt.line+"\n"+moved(tt.line, command)+"[service.good]\ncommand=\"true\"\n"))
		if got := names(f); !reflect.DeepEqual(got, []string{"before", "good"}) || !reflect.DeepEqual(f.Bad, []string{"bad"}) {
			t.Errorf("%s: services %v, left out %v: %v", tt.line, got, f.Bad, f.Problems)
		}
		if len(f.Problems) != 1 || !strings.HasPrefix(f.Problems[0].String(), tt.says) {
			t.Errorf("%s:\n got  %v\n want %s", tt.line, f.Problems, tt.says)
		}
	}
}

// moved keeps a command out of a table that a line begins.
func moved(line, command string) string {
	if strings.HasPrefix(line, "[") {
		return "[service.bad]\n" + command
	}
	return command
}

func TestFilesThatDeclareNothing(t *testing.T) {
	for text, says := range map[string]string{
		"[service.x\n": "x.toml:1: not TOML",
		"[service.x]\ncommand = \"a\"\nenv = { A=": "x.toml:3: not TOML",
		"\x00":                         "x.toml:1: not TOML",
		"\n[servce.x]\n":               "x.toml:2: servce.x: unknown key (did you mean service?)",
		"command = \"a\"\n":            "x.toml:1: command: unknown key",
		"[service]\n":                  "x.toml:1: service: is no service",
		"[[service.x]]\n":              "x.toml:1: service.x: is no service",
		"[service.\"a/b\"]":            "x.toml:1: service.a/b: is no name",
		"[service.x]\n":                "x.toml:1: service.x.command: is missing",
		strings.Repeat("#", MaxSize+1): "x.toml:1: the file is too large",
	} {
		f := Parse("x.toml", []byte(text))
		if len(f.Services) > 0 || len(f.Problems) == 0 || !strings.HasPrefix(f.Problems[0].String(), says) {
			t.Errorf("%.40q: %v, want %s", text, f.Problems, says)
		}
	}
	if f := Parse("x.toml", nil); len(f.Problems) > 0 {
		t.Errorf("an empty file: %v", f.Problems)
	}
}

func TestT15CyclesUnknownNamesAndDuplicatesCostOnlyThemselves(t *testing.T) {
	one := Parse("1.toml", []byte(`
[service.a]
command = "true"
after = ["b"]
[service.b]
command = "true"
after = ["a"]
[service.c]
command = "true"
after = ["nobody"]
[service.d]
command = "true"
after = ["sshd"]
[service.e]
command = "true"
after = ["broken"]
[service.broken]
`))
	two := Parse("2.toml", []byte("[service.d]\ncommand = \"false\"\n[service.sshd]\ncommand = \"false\"\n"))
	set := Settle([]File{one, two}, "sshd")
	if got := names(File{Services: set.Services}); !reflect.DeepEqual(got, []string{"d", "e"}) || set.Services[0].File != "1.toml" {
		t.Errorf("left %v", got)
	}
	var lines []string
	for _, p := range set.Problems {
		lines = append(lines, p.String())
	}
	want := `1.toml:2: service.a.after: comes after itself: a after b after a; expected no cycle
1.toml:5: service.b.after: comes after itself: b after a after b; expected no cycle
1.toml:8: service.c.after: there is no service "nobody"; expected the name of one
1.toml:17: service.broken.command: is missing; expected a list such as ["/bin/web", "-v"], or a string for sh -c
2.toml:1: service.d: is declared already, at 1.toml:11; expected one declaration; this one is left out
2.toml:3: service.sshd: is a service of g8os_core itself; expected another name`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhenOneRecurs(t *testing.T) {
	f := Parse("x.toml", []byte("[service.a]\ncommand=\"true\"\nevery=\"90s\"\n[service.b]\ncommand=\"true\"\ncron=\"30 2 * * *\"\n"))
	if len(f.Services) != 2 {
		t.Fatal(f.Problems)
	}
	now := time.Date(2026, 3, 28, 23, 0, 0, 0, time.FixedZone("east", 3600))
	a, b := f.Services[0].Ordered(), f.Services[1].Ordered()
	if got := a.Recurs.Next(now); !a.AtOnce || !got.Equal(now.Add(90*time.Second)) {
		t.Errorf("every: %v", got)
	}
	if got := b.Recurs.Next(now); b.AtOnce || !got.Equal(time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)) {
		t.Errorf("cron, in UTC: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("[service.x]\ncommand = [\"a\"]\nready = { tcp = \"a:1\" }\n"))
	f.Add([]byte("[service]\nx.command = 1\n[service.x.y.z]\n\"\" = 2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		one := Parse("x.toml", text)
		if one.Broken && len(one.Problems) == 0 {
			t.Error("it is broken, and nothing is said")
		}
		Settle([]File{one, one})
	})
}
