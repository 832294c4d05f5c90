package watch

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
)

// RunTUI shows calls and tool requests on a terminal until the user quits or
// ctx ends. o may be nil.
func RunTUI(ctx context.Context, s records.Store, in io.Reader, out io.Writer, o *Options) error {
	return runTUI(ctx, s, o, tea.WithInput(in), tea.WithOutput(out))
}

func runTUI(ctx context.Context, s records.Store, o *Options, opts ...tea.ProgramOption) error {
	m := model{ctx: ctx, store: s, o: o.withDefaults(), width: 80, height: 24}
	p := tea.NewProgram(m, append(opts, tea.WithContext(ctx), tea.WithoutSignalHandler())...)
	_, err := p.Run()
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// A view is which items the list shows.
type view int

const (
	viewAll view = iota
	viewCalls
	viewTools
	viewIssues
	views
)

func (v view) String() string { return [...]string{"all", "calls", "tools", "issues"}[v] }

// A model is the state of the screen. Every message makes a new one.
type model struct {
	ctx           context.Context
	store         records.Store
	o             Options
	width, height int

	items  []item // all of them, newest first
	err    error  // of the last poll
	loaded bool
	pulse  bool // changes with each poll, to show that the screen is live

	view      view
	filter    string
	filtering bool   // the filter is being typed
	selected  string // the id of the selected item; "" follows the newest

	open     *detail
	unmasked bool // texts are shown as they are
	scroll   int
}

// A detail is the open item. It is read again with every poll.
type detail struct {
	id    string
	item  item
	call  calls.Call
	tools []calls.StoredToolRequest
	err   error
}

// The messages of the program.
type (
	loadedMsg struct {
		items []item
		err   error
	}
	detailMsg detail
	tickMsg   time.Time
)

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return m.load() }

func (m model) load() tea.Cmd {
	return func() tea.Msg {
		items, err := poll(m.ctx, m.store)
		return loadedMsg{items, err}
	}
}

func (m model) readDetail(i item) tea.Cmd {
	return func() tea.Msg {
		d := detail{id: i.id, item: i}
		if i.call != nil {
			d.call, d.err = calls.Read(m.ctx, m.store, i.call.ID)
			if d.err == nil {
				d.tools, d.err = calls.ToolRequests(m.ctx, m.store, i.call.ID)
			}
		}
		return detailMsg(d)
	}
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case loadedMsg:
		m.loaded, m.pulse, m.err = true, !m.pulse, msg.err
		if msg.err == nil {
			m.items = msg.items
		}
		next := tea.Tick(m.o.PollInterval, func(t time.Time) tea.Msg { return tickMsg(t) })
		if m.open != nil {
			if i, ok := m.item(m.open.id); ok {
				return m, tea.Batch(next, m.readDetail(i))
			}
		}
		return m, next
	case tickMsg:
		return m, m.load()
	case detailMsg:
		if m.open != nil && m.open.id == msg.id {
			d := detail(msg)
			m.open = &d
		}
	case tea.KeyPressMsg:
		return m.key(msg)
	}
	return m, nil
}

func (m model) key(msg tea.KeyPressMsg) (tea.Model, tea.Cmd) {
	k := msg.String()
	switch {
	case k == "ctrl+c":
		return m, tea.Quit
	case m.filtering:
		return m.filterKey(msg), nil
	case m.open != nil:
		return m.detailKey(k)
	}
	return m.listKey(k)
}

// filterKey handles a key while the filter is being typed.
func (m model) filterKey(msg tea.KeyPressMsg) model {
	switch k := msg.String(); {
	case k == "enter":
		m.filtering = false
	case k == "esc":
		m.filtering, m.filter = false, ""
	case k == "backspace":
		r := []rune(m.filter)
		m.filter = string(r[:max(0, len(r)-1)])
	default:
		m.filter += msg.Key().Text
	}
	return m
}

func (m model) detailKey(k string) (tea.Model, tea.Cmd) {
	switch k {
	case "esc", "left", "h", "backspace":
		m.open, m.scroll, m.unmasked = nil, 0, false
		return m, nil
	case "q":
		return m, tea.Quit
	case "up", "k":
		m.scroll = max(0, m.scroll-1)
	case "down", "j":
		m.scroll++
	case "pgup", "b":
		m.scroll = max(0, m.scroll-m.page())
	case "pgdown", "space":
		m.scroll += m.page()
	case "home", "g":
		m.scroll = 0
	case "end", "G":
		m.scroll = 1 << 30 // limited below
	case "t":
		m.unmasked = !m.unmasked
	case "n":
		return m.move(1).openSelected()
	case "p":
		return m.move(-1).openSelected()
	}
	m.scroll = min(m.scroll, max(0, len(m.detailLines())-m.page()))
	return m, nil
}

func (m model) listKey(k string) (tea.Model, tea.Cmd) {
	switch k {
	case "q":
		return m, tea.Quit
	case "up", "k":
		return m.move(-1), nil
	case "down", "j":
		return m.move(1), nil
	case "pgup", "b":
		return m.move(-m.page()), nil
	case "pgdown", "space":
		return m.move(m.page()), nil
	case "home", "g":
		m.selected = ""
	case "end", "G":
		return m.move(1 << 30), nil
	case "tab":
		m.view = (m.view + 1) % views
	case "shift+tab":
		m.view = (m.view + views - 1) % views
	case "/":
		m.filtering = true
	case "esc":
		m.filter, m.selected = "", ""
	case "enter", "right", "l":
		return m.openSelected()
	}
	return m, nil
}

func (m model) openSelected() (tea.Model, tea.Cmd) {
	list := m.list()
	if len(list) == 0 {
		return m, nil
	}
	i := list[m.position(list)]
	m.selected, m.open, m.scroll, m.unmasked = i.id, &detail{id: i.id, item: i}, 0, false
	return m, m.readDetail(i)
}

// list returns the items that match the view and the filter.
func (m model) list() []item {
	var list []item
	words := strings.Fields(strings.ToLower(m.filter))
items:
	for _, i := range m.items {
		if m.view == viewCalls && i.call == nil || m.view == viewTools && i.tool == nil || m.view == viewIssues && !i.needsAttention() {
			continue
		}
		for _, w := range words {
			if !strings.Contains(i.haystack, w) {
				continue items
			}
		}
		list = append(list, i)
	}
	return list
}

// position returns the position of the selected item in the list.
func (m model) position(list []item) int {
	for n, i := range list {
		if i.id == m.selected {
			return n
		}
	}
	return 0
}

func (m model) move(by int) model {
	list := m.list()
	if len(list) == 0 {
		return m
	}
	n := min(max(m.position(list)+by, 0), len(list)-1)
	m.selected = list[n].id
	return m
}

func (m model) item(id string) (item, bool) {
	for _, i := range m.items {
		if i.id == id {
			return i, true
		}
	}
	return item{}, false
}

// page returns how many lines fit between the header and the footer.
func (m model) page() int { return max(1, m.height-4) }
