package watch

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/obscure"
	"github.com/serverurl/serverurl/replylint"
)

// The terminal's own sixteen colours, so that it looks right on any ground.
var (
	bold   = lipgloss.NewStyle().Bold(true)
	dim    = lipgloss.NewStyle().Faint(true)
	good   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warn   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	accent = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	chosen = lipgloss.NewStyle().Reverse(true)
)

// View implements tea.Model.
func (m model) View() tea.View {
	body, keys := m.listLines(), "↑↓ choose   enter open   tab all/calls/tools/trouble   / filter   q quit"
	if m.open != nil {
		body, keys = m.detailLines(), "↑↓ scroll   n/p next   t text   esc back   q quit"
		body = body[min(m.scroll, len(body)):]
	}
	if m.filtering {
		keys = "type to filter   enter keep   esc clear"
	}
	lines := append([]string{m.head(), ""}, body[:min(len(body), m.page())]...)
	for len(lines) < m.page()+3 {
		lines = append(lines, "")
	}
	lines = append(lines, dim.Render(keys))
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, m.width, "…")
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen, v.WindowTitle = true, "serverurl watch"
	return v
}

func (m model) head() string {
	live, trouble := 0, 0
	for _, i := range m.items {
		if i.Call != nil && !i.Call.Ended {
			live++
		}
		if i.Trouble() {
			trouble++
		}
	}
	pulse := "○"
	if m.beat {
		pulse = "●"
	}
	s := accent.Render(pulse) + " " + bold.Render("serverurl watch") + dim.Render("  "+m.o.Name+"  ") + fmt.Sprintf("%d live", live)
	if trouble > 0 {
		s += "  " + bad.Render(fmt.Sprintf("%d in trouble", trouble))
	}
	if m.kind != everything {
		s += "  " + accent.Render(m.kind.String())
	}
	if m.filtering || m.filter != "" {
		s += "  " + accent.Render("/"+m.filter)
		if m.filtering {
			s += "▏"
		}
	}
	if m.err != nil {
		s += "  " + bad.Render("the store cannot be read")
	}
	return s
}

func (m model) listLines() []string {
	list := m.list()
	if len(list) == 0 {
		switch {
		case !m.loaded:
			return []string{dim.Render("reading …")}
		case len(m.items) == 0:
			return []string{dim.Render("no calls yet; play one: serverurl call booking --to URL")}
		}
		return []string{dim.Render("nothing is like that; esc shows everything")}
	}
	at := m.at(list)
	top := min(max(0, at-m.page()/2), max(0, len(list)-m.page()))
	var lines []string
	for n := top; n < min(len(list), top+m.page()); n++ {
		l := m.row(list[n])
		if n == at {
			l = chosen.Render(pad(ansi.Strip(l), m.width))
		}
		lines = append(lines, l)
	}
	return lines
}

// row is an item in the list.
func (m model) row(i Item) string {
	at := dim.Render(i.At.Local().Format(time.TimeOnly))
	if c := i.Call; c != nil {
		style := good
		if c.Ended {
			style = dim
		}
		s := fmt.Sprintf("%s  %s %s %s", at, style.Render("☎"), pad(short(string(c.ID)), 16), style.Render(pad(safe(string(c.Status)), 12)))
		s += pad(count(c.Messages, "message"), 14)
		if c.Assistant != "" {
			s += " " + pad(safe(c.Assistant), 20)
		}
		if c.Hangs > 0 {
			s += bad.Render(" " + count(c.Hangs, "hang"))
		}
		if c.Errors > 0 {
			s += bad.Render(" " + count(c.Errors, "error"))
		}
		if c.Ended && !c.EndReason.HasReport() {
			s += warn.Render(" ended: " + string(c.EndReason))
		}
		return s
	}
	r := i.Tool
	s := fmt.Sprintf("%s    %s %s %s %s", at, pad(safe(name(r.Tool)), 22), pad(state(i), 13), bar(r.Took, r.Budget), pad(took(r.Took), 8))
	if i.Worst >= replylint.LevelWarning {
		style := warn
		if i.Worst == replylint.LevelError {
			style = bad
		}
		s += " " + style.Render(i.Worst.String()+": "+i.Rule)
	}
	return s + " " + dim.Render(short(string(r.Call)))
}

const barWidth = 12

// bar is the time an answer took, against its budget.
func bar(d, budget time.Duration) string {
	part := float64(d) / float64(cmp.Or(budget, 4*time.Second))
	n := min(barWidth, int(part*barWidth+0.5))
	style := good
	switch {
	case part >= 1:
		style = bad
	case part >= 0.5:
		style = warn
	}
	return style.Render(strings.Repeat("▇", n)) + dim.Render(strings.Repeat("·", barWidth-n))
}

// detailLines is the open item.
func (m model) detailLines() []string {
	d := m.open
	switch {
	case d.err != nil:
		return []string{bad.Render("it cannot be read")}
	case d.item.Tool != nil:
		return m.wrap(m.toolLines(*d.item.Tool))
	case d.call.ID == "":
		return []string{dim.Render("reading …")}
	}
	return m.wrap(m.callLines(d))
}

func (m model) callLines(d *detail) []string {
	c := d.call
	over := "goes on"
	if c.Ended {
		over = "ended " + string(c.EndReason)
	}
	lines := []string{bold.Render("call "+safe(string(c.ID))) + "  " + safe(string(c.Status)) + ", " + over}
	lines = append(lines, dim.Render(fmt.Sprintf("from %s to %s   %s   %s   %s   %s",
		c.First.Local().Format(time.DateTime), c.Last.Local().Format(time.TimeOnly), count(c.Messages, "message"),
		count(len(c.Events), "event"), count(c.Hangs, "hang"), count(c.Errors, "error"))), "")
	for _, t := range c.Transcript {
		who := accent.Render("   caller  ")
		if t.FromAssistant() {
			who = good.Render("assistant  ")
		}
		lines = append(lines, who+m.text(t.Text))
	}
	if len(d.tools) > 0 {
		lines = append(lines, "", bold.Render("tools"))
		for _, r := range d.tools {
			i := Item{Tool: &r}
			if found := replylint.Check(replylint.ReplyOf(r.ToolRequest)); len(found) > 0 {
				i.Worst, i.Rule = found[0].Level, found[0].Rule
			}
			i.At = r.At
			lines = append(lines, m.row(i))
		}
	}
	if c.Report != nil {
		lines = append(lines, "", bold.Render("report"))
		for _, f := range [][2]string{{"outcome", safe(c.Analysis.Outcome)}, {"success", safe(c.Analysis.Success)}, {"summary", m.text(c.Analysis.Summary)}} {
			if f[1] != "" {
				lines = append(lines, dim.Render(pad(f[0], 11))+f[1])
			}
		}
	}
	return lines
}

func (m model) toolLines(r core.KeptRequest) []string {
	i := Item{Tool: &r}
	lines := []string{
		bold.Render("tool "+safe(name(r.Tool))) + "  " + state(i),
		dim.Render(fmt.Sprintf("%s   %s   status %d   call %s", r.At.Local().Format(time.DateTime), safe(r.Method), r.Status, cmp.Or(safe(string(r.Call)), "not known"))),
		"", bar(r.Took, r.Budget) + " " + took(r.Took) + dim.Render(" of "+cmp.Or(r.Budget, 4*time.Second).String()), "",
	}
	for _, f := range replylint.Check(replylint.ReplyOf(r.ToolRequest)) {
		style := warn
		if f.Level == replylint.LevelError {
			style = bad
		}
		says := f.Level.String() + ": " + f.Reason
		if f.Level == replylint.LevelError {
			says = "This reply would be ignored because " + f.Reason + "."
		}
		lines = append(lines, style.Render(says), dim.Render("  "+f.Fix+"  ("+f.Source+")"), "")
	}
	show := func(title, text string) {
		lines = append(lines, bold.Render(title))
		for l := range strings.SplitSeq(cmp.Or(text, "nothing"), "\n") {
			lines = append(lines, "  "+safe(l))
		}
		lines = append(lines, "")
	}
	if m.shown {
		show("arguments", obscure.Indent(r.Args))
		show("reply", obscure.Indent(r.Reply))
	} else {
		show("arguments", obscure.JSON(r.Args, true))
		show("reply", obscure.JSON(r.Reply, true))
	}
	return lines
}

func (m model) text(s string) string {
	if m.shown {
		return safe(s)
	}
	return obscure.Text(safe(s))
}

// wrap breaks lines at the screen's width.
func (m model) wrap(lines []string) []string {
	var all []string
	for _, l := range lines {
		all = append(all, strings.Split(ansi.Wrap(l, max(20, m.width), " "), "\n")...)
	}
	return all
}

// short is an id as far as there is room for it.
func short(id string) string { return ansi.Truncate(safe(id), 14, "…") }

// pad makes s just as wide as width.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
}
