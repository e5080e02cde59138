package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/g8os/g8os/ac-mock/client"
	"github.com/g8os/g8os/core/api"
	"github.com/g8os/g8os/internal/table"
)

type scheduleCmd struct {
	Add    scheduleAddCmd    `cmd:"" help:"Have a command run again and again."`
	List   scheduleListCmd   `cmd:"" help:"List the schedules."`
	Show   scheduleShowCmd   `cmd:"" help:"Show everything about a schedule."`
	Remove scheduleRemoveCmd `cmd:"" help:"End a schedule; jobs that it made go on."`
}

type scheduleAddCmd struct {
	target
	terms
	Script  string      `help:"Run this script of this machine instead of a command; its arguments follow --." placeholder:"FILE"`
	Overlap api.Overlap `help:"While the job of the time before still runs: skip leaves the time out, queue runs it after that." enum:"skip,queue" default:"skip"`
	Output  string      `short:"o" enum:"table,json" default:"table" help:"table or json."`
	First   string      `arg:"" name:"name" help:"A name of your own; it may be left out, and is made of the command then."`
	Second  *string     `arg:"" optional:"" name:"cron" help:"When, in UTC: five fields as in crontab(5), in quotes, or @hourly, @daily, …, @every 90s."`
	Third   *string     `arg:"" optional:"" name:"node" help:"Id, MAC or host name, several with commas between; not with --role or --all."`
	Command []string    `arg:"" optional:"" passthrough:"" help:"Command and arguments, after --."`
}

func (scheduleAddCmd) Help() string {
	return `The ACs see to it that each time has one job, whichever of them are there. One that passed while none
was there is made up for within 5 minutes, once; what is left out is told by "schedule show". Jobs are
named NAME-TIME: g8os job list, g8os job logs.

A node that is away at the time is left out, unless --queue says how long its turn waits.

  g8os schedule add '*/5 * * * *' --role web -- /usr/local/bin/rotate-logs
  g8os schedule add nightly '30 2 * * *' --all --timeout 1h -- apt-get -y upgrade
  g8os schedule add '@every 90s' office-1 --script check.sh -- --fast`
}

func (a *scheduleAddCmd) Run(s *session) error {
	name, cron, words, err := a.when()
	if err != nil {
		return err
	}
	if a.flagged() && len(words) > 0 && s.tail >= 0 && len(words)+len(a.Command) > s.tail {
		return exitError{exitUsage, fmt.Errorf("%s before -- is a node, and --all or --role says which nodes already: say one of them", words[0])}
	}
	to, argv, err := a.operands(a.Command, words...)
	if err != nil {
		return err
	}
	e := api.ExecRequest{Argv: argv}
	switch {
	case a.Script != "":
		if e.Script, err = readScript(s, a.Script); err != nil {
			return exitError{exitUsage, err}
		}
	case len(argv) == 0 || argv[0] == "":
		return exitError{exitUsage, errors.New("no command: want g8os schedule add [NAME] 'CRON' NODE|--role ROLE|--all -- COMMAND ARGUMENTS")}
	}
	req, err := a.request(to, e)
	if err != nil {
		return err
	}
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	made, err := c.AddSchedule(s.ctx, api.Schedule{Name: name, Cron: cron, Request: req, Overlap: a.Overlap})
	if err != nil {
		return err
	}
	return showSchedule(s.stdout, made, a.Output)
}

// when takes name and time off the words. What has a blank in it, or begins with
// @, is a time: no name does.
func (a *scheduleAddCmd) when() (name, cron string, words []string, err error) {
	words = given(&a.First, a.Second, a.Third)
	if !isTime(words[0]) {
		name, words = words[0], words[1:]
	}
	if len(words) == 0 || !isTime(words[0]) {
		return "", "", nil, exitError{exitUsage, errors.New("no time: want five fields in quotes, such as '*/5 * * * *', or @hourly, @every 90s")}
	}
	return name, words[0], words[1:], nil
}

func isTime(word string) bool {
	return strings.ContainsAny(word, " \t") || strings.HasPrefix(word, "@")
}

type scheduleListCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

func (l *scheduleListCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Schedules(s.ctx)
	if err != nil {
		return err
	}
	if l.Output == "json" {
		return writeJSON(s.stdout, list)
	}
	now := time.Now()
	t := table.Table{Head: []string{"NAME", "WHEN", "NEXT", "LAST", "FOR", "COMMAND", "NOTE"}, Wraps: true, Dispensable: []string{"NOTE", "LAST"}}
	for _, sc := range list {
		t.Rows = append(t.Rows, []string{
			sc.Name, sc.Cron, in(sc.Next, now), ago(sc.Last, now), meant(sc.Request.To), commandOf(sc.Request.Exec), orDash(sc.Note),
		})
	}
	return t.Print(s.stdout)
}

// in is how long it is to a time.
func in(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return "in " + short(max(0, t.Sub(now)))
}

// commandOf is what runs, in one word.
func commandOf(e api.ExecRequest) string {
	switch {
	case e.Builtin != "":
		return string(e.Builtin)
	case len(e.Script) > 0:
		return "(script)"
	case len(e.Argv) > 0:
		return api.Shown(e.Argv[0], 32)
	}
	return "-"
}

type ofSchedule struct {
	Name   string `arg:"" help:"The schedule's name."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type (
	scheduleShowCmd   struct{ ofSchedule }
	scheduleRemoveCmd struct{ ofSchedule }
)

func (o *scheduleShowCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Schedules(s.ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(list, func(sc api.Schedule) bool { return sc.Name == o.Name })
	if at < 0 {
		return client.WithRemedy(fmt.Errorf("schedule %q: no such schedule", o.Name), "g8os schedule list shows those that there are")
	}
	return showSchedule(s.stdout, list[at], o.Output)
}

func (o *scheduleRemoveCmd) Run(s *session) error {
	c, err := s.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	was, err := c.RemoveSchedule(s.ctx, o.Name)
	if err != nil {
		return err
	}
	if o.Output == "json" {
		return writeJSON(s.stdout, was)
	}
	_, err = fmt.Fprintf(s.stdout, "schedule %s (%s) is removed\n", was.Name, was.Cron)
	return err
}

func showSchedule(w io.Writer, sc api.Schedule, output string) error {
	if output == "json" {
		return writeJSON(w, sc)
	}
	q, now := sc.Request, time.Now()
	last := ago(sc.Last, now)
	if sc.Last != nil {
		last = fmt.Sprintf("%s (%s), job %s", sc.Last.UTC().Format("2006-01-02 15:04:05 UTC"), last, sc.LastJob)
	}
	rows := [][2]string{
		{"schedule", sc.Name}, {"when", sc.Cron + " (UTC)"}, {"next", sc.Next.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + in(sc.Next, now) + ")"}, {"last", last},
		{"for", meant(q.To)}, {"command", commandOf(q.Exec)}, {"while one runs", map[bool]string{true: "the next waits for it", false: "the next is left out"}[sc.Overlap == api.OverlapQueue]},
		{"by", sc.By}, {"note", api.Shown(sc.Note, 512)},
	}
	args := q.Exec.Argv
	if len(q.Exec.Script) == 0 && len(args) > 0 {
		args = args[1:]
	}
	if len(args) > 0 {
		rows = slices.Insert(rows, 6, [2]string{"arguments", api.Shown(fmt.Sprintf("%q", args), 512)})
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(t, "%s\t%s\n", row[0], orDash(row[1]))
	}
	return t.Flush()
}
