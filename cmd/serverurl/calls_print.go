package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/screen"
)

// print writes a call for a person: the conversation first, then what the tools did,
// what went wrong, and the report.
func (v callDetailJSON) print(t *terminal, call calls.Call, wrong section, requests []calls.StoredToolRequest, tags *tagKeys) {
	fmt.Fprintf(t.out, "%s  %s\n", screen.Line(string(v.ID)),
		strings.TrimSpace(screen.Line(fmt.Sprintf("%s, %s %s", v.Status, openOrEnded(v.Ended), v.EndReason))))
	switch {
	case len(v.Tags) > 0:
		fmt.Fprintf(t.out, "in the log: %s\n", strings.Join(v.Tags, ", "))
	case tags != nil:
		fmt.Fprintf(t.out, "in the log: unknown; %s\n", needSecret)
	}
	var said, tools, report section
	for _, m := range call.Transcript {
		switch {
		case !m.Spoken():
		case m.FromAssistant():
			said.add("assistant", m.Text)
		default:
			said.add("caller", m.Text)
		}
	}
	for _, r := range v.Tools {
		tools.add("tool", fmt.Sprintf("%s %s%s", r.Tool, r.State, answered(r, requests)))
	}
	if v.Report != nil {
		title := "report"
		for _, line := range v.Report.lines() {
			report.add(title, line)
			title = ""
		}
	}
	for _, s := range []section{said, tools, wrong, report} {
		s.print(t.out)
	}
}

// A section is lines with a word before each.
type section []string

func (s *section) add(who, text string) {
	*s = append(*s, fmt.Sprintf("%10s  %s", who, strings.TrimSpace(screen.Line(text))))
}

// print writes an empty line and the section, or nothing if it has no lines.
func (s section) print(to io.Writer) {
	if len(s) > 0 {
		fmt.Fprintf(to, "\n%s\n", strings.Join(s, "\n"))
	}
}

// answered says what the caller heard. A run whose outcome is unknown has stored
// nothing, but the reply to its request may be recorded.
func answered(r calls.ToolRun, requests []calls.StoredToolRequest) string {
	if r.Result != "" {
		return " → " + r.Result
	}
	heard := ""
	for _, q := range requests {
		if q.Tool == r.Tool && bytes.Equal(q.Args, r.Args) && q.Result != "" {
			heard = "; the caller heard: " + q.Result
		}
	}
	return heard
}

// wentWrong is the hangs and errors of a call.
func wentWrong(ctx context.Context, s records.Store, call calls.Call) (wrong section, err error) {
	if call.HangCount+call.ErrorCount == 0 {
		return nil, nil
	}
	for e, err := range calls.Events(ctx, s, call.ID) {
		if err != nil {
			return nil, err
		}
		if at := e.Received.Local().Format(time.TimeOnly); e.Type == event.TypeHang {
			wrong.add("hang", at+" the assistant was silent for 5 s")
		} else if e.Type == event.TypeError {
			wrong.add("error", at+vendorError(e))
		}
	}
	return wrong, nil
}

// vendorError is what an event says of an error, if it is still stored.
func vendorError(e calls.StoredEvent) string {
	ev, err := event.Decode(e.Body, e.Received)
	if err != nil || ev.Error == nil {
		return ""
	}
	text := " " + strings.TrimSpace(ev.Error.Type+" "+ev.Error.Code)
	if ev.Error.Provider != "" {
		text += " of " + ev.Error.Provider
	}
	if ev.Error.Message != "" {
		text += ": " + ev.Error.Message
	}
	return text
}

// lines is what is known of a report, for a person.
func (r *reportJSON) lines() (known []string) {
	var facts []string
	if success := screen.Line(r.SuccessEvaluation); success != "" {
		facts = append(facts, success)
	}
	if r.DurationMs > 0 {
		facts = append(facts, fmt.Sprintf("%.1f s", r.DurationMs/1000))
	}
	if r.EndedBy != "" {
		facts = append(facts, "ended by the "+screen.Line(r.EndedBy))
	}
	for _, line := range []string{screen.Line(r.Summary), strings.Join(facts, ", ")} {
		if line != "" {
			known = append(known, line)
		}
	}
	return known
}
