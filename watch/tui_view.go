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
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/internal/obscure"
	"github.com/serverurl/serverurl/replylint"
)

// The terminal's own sixteen colors, which fit its background.
var (
	bold     = lipgloss.NewStyle().Bold(true)
	dim      = lipgloss.NewStyle().Faint(true)
	good     = lipgloss.NewStyle().Foreground(lipgloss.Green)
	warn     = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	bad      = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	accent   = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	selected = lipgloss.NewStyle().Reverse(true)
)

// View implements tea.Model.
func (m model) View() tea.View {
	body, keys := m.listLines(), "↑↓ select   enter open   tab all/calls/tools/issues   / filter   q quit"
	if m.open != nil {
		body, keys = m.detailLines(), "↑↓ scroll   n/p next   t text   esc back   q quit"
		body = body[min(m.scroll, len(body)):]
	}
	if m.filtering {
		keys = "type to filter   enter apply   esc clear"
	}
	lines := append([]string{m.header(), ""}, body[:min(len(body), m.page())]...)
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

func (m model) header() string {
	live, issues := 0, 0
	for _, i := range m.items {
		if i.call != nil && !i.call.Ended {
			live++
		}
		if i.needsAttention() {
			issues++
		}
	}
	pulse := "○"
	if m.pulse {
		pulse = "●"
	}
	s := accent.Render(pulse) + " " + bold.Render("serverurl watch") + dim.Render("  "+m.o.Name+"  ") + fmt.Sprintf("%d live", live)
	if issues > 0 {
		s += "  " + bad.Render(plural(issues, "issue"))
	}
	if m.view != viewAll {
		s += "  " + accent.Render(m.view.String())
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
			return []string{dim.Render("no calls yet; play one: serverurl play booking --url URL --store URL")}
		}
		return []string{dim.Render("nothing matches; esc shows everything")}
	}
	at := m.position(list)
	top := min(max(0, at-m.page()/2), max(0, len(list)-m.page()))
	var lines []string
	for n := top; n < min(len(list), top+m.page()); n++ {
		l := row(list[n])
		if n == at {
			l = selected.Render(pad(ansi.Strip(l), m.width))
		}
		lines = append(lines, l)
	}
	return lines
}

// row renders an item of the list.
func row(i item) string {
	at := dim.Render(i.at.Local().Format(time.TimeOnly))
	if c := i.call; c != nil {
		style := good
		if c.Ended {
			style = dim
		}
		s := fmt.Sprintf("%s  %s %s %s", at, style.Render("☎"), pad(short(string(c.ID)), 16), style.Render(pad(printable(string(c.Status)), 12)))
		s += pad(plural(c.MessageCount, "message"), 14)
		if c.Assistant != "" {
			s += " " + pad(printable(c.Assistant), 20)
		}
		if c.HangCount > 0 {
			s += bad.Render(" " + plural(c.HangCount, "hang"))
		}
		if c.ErrorCount > 0 {
			s += bad.Render(" " + plural(c.ErrorCount, "error"))
		}
		if c.Ended && !c.EndReason.HasReport() {
			s += warn.Render(" ended: " + string(c.EndReason))
		}
		return s
	}
	r := i.tool
	s := fmt.Sprintf("%s    %s %s %s %s", at, pad(toolName(r.Tool), 22), pad(stateWord(r.ToolRequest), 16), bar(r.Latency, r.Budget), pad(duration(r.Latency), 8))
	if i.severity >= replylint.LevelWarning {
		style := warn
		if i.severity == replylint.LevelError {
			style = bad
		}
		s += " " + style.Render(i.severity.String()+": "+i.rule)
	}
	return s + " " + dim.Render(short(string(r.Call)))
}

const barWidth = 12

// bar renders a latency against its budget.
func bar(d, budget time.Duration) string {
	part := float64(d) / float64(cmp.Or(budget, core.DefaultBudget))
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

// detailLines renders the open item.
func (m model) detailLines() []string {
	d := m.open
	switch {
	case d.err != nil:
		return []string{bad.Render("this cannot be read")}
	case d.item.tool != nil:
		return m.wrap(m.toolLines(*d.item.tool))
	case d.call.ID == "":
		return []string{dim.Render("reading …")}
	}
	return m.wrap(m.callLines(d))
}

func (m model) callLines(d *detail) []string {
	c := d.call
	state := "in progress"
	if c.Ended {
		state = "ended " + string(c.EndReason)
	}
	lines := []string{bold.Render("call "+printable(string(c.ID))) + "  " + printable(string(c.Status)) + ", " + state}
	lines = append(lines, dim.Render(fmt.Sprintf("from %s to %s   %s   %s   %s   %s",
		c.FirstSeen.Local().Format(time.DateTime), c.LastSeen.Local().Format(time.TimeOnly), plural(c.MessageCount, "message"),
		plural(len(c.Events), "event"), plural(c.HangCount, "hang"), plural(c.ErrorCount, "error"))), "")
	for _, t := range c.Transcript {
		if !t.Spoken() {
			continue
		}
		who := accent.Render("   caller  ")
		if t.FromAssistant() {
			who = good.Render("assistant  ")
		}
		lines = append(lines, who+m.text(t.Text))
	}
	if len(d.tools) > 0 {
		lines = append(lines, "", bold.Render("tools"))
		for _, r := range d.tools {
			lines = append(lines, row(toolItem(r)))
		}
	}
	if c.Report != nil {
		lines = append(lines, "", bold.Render("report"))
		for _, f := range [][2]string{{"outcome", printable(c.Analysis.Outcome)}, {"success", printable(c.Analysis.Success)}, {"summary", m.text(c.Analysis.Summary)}} {
			if f[1] != "" {
				lines = append(lines, dim.Render(pad(f[0], 11))+f[1])
			}
		}
	}
	return lines
}

func (m model) toolLines(r calls.StoredToolRequest) []string {
	lines := []string{
		bold.Render("tool "+toolName(r.Tool)) + "  " + stateWord(r.ToolRequest),
		dim.Render(fmt.Sprintf("%s   %s   status %d   call %s", r.ReceivedAt.Local().Format(time.DateTime), printable(r.Method), r.HTTPStatus, cmp.Or(printable(string(r.Call)), "not known"))),
		"", bar(r.Latency, r.Budget) + " " + duration(r.Latency) + dim.Render(" of "+cmp.Or(r.Budget, core.DefaultBudget).String()), "",
	}
	for _, f := range replylint.Check(replylint.ReplyOf(r.ToolRequest)) {
		style := warn
		if f.Level == replylint.LevelError {
			style = bad
		}
		text := f.Level.String() + ": " + f.Reason
		if f.Level == replylint.LevelError {
			text = "This reply would be ignored because " + f.Reason + "."
		}
		lines = append(lines, style.Render(text), dim.Render("  "+f.Fix+"  ("+f.Source+")"), "")
	}
	add := func(title, text string) {
		lines = append(lines, bold.Render(title))
		for l := range strings.SplitSeq(cmp.Or(text, "nothing"), "\n") {
			lines = append(lines, "  "+printable(l))
		}
		lines = append(lines, "")
	}
	if m.unmasked {
		add("arguments", obscure.Indent(r.Args))
		add("reply", obscure.Indent(r.Reply))
	} else {
		add("arguments", obscure.JSON(r.Args, true))
		add("reply", obscure.JSON(r.Reply, true))
	}
	return lines
}

func (m model) text(s string) string {
	if m.unmasked {
		return printable(s)
	}
	return obscure.Text(printable(s))
}

// wrap breaks lines at the width of the screen.
func (m model) wrap(lines []string) []string {
	var all []string
	for _, l := range lines {
		all = append(all, strings.Split(ansi.Wrap(l, max(20, m.width), " "), "\n")...)
	}
	return all
}

// short abbreviates an id.
func short(id string) string { return ansi.Truncate(printable(id), 14, "…") }

// pad cuts or fills s to a width.
func pad(s string, width int) string {
	s = ansi.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
}
