package watch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/serverurl/serverurl/core/calls"
)

// Screen shows calls and tools on a terminal until the user quits or ctx ends.
func Screen(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	return screen(ctx, o, tea.WithInput(in), tea.WithOutput(out))
}

func screen(ctx context.Context, o Options, opts ...tea.ProgramOption) error {
	p := tea.NewProgram(model{ctx: ctx, o: o, width: 80, height: 24}, append(opts, tea.WithContext(ctx), tea.WithoutSignalHandler())...)
	_, err := p.Run()
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

// Which items the list shows.
type kind int

const (
	everything kind = iota
	onlyCalls
	onlyTools
	onlyTrouble
	kinds
)

func (k kind) String() string { return [...]string{"all", "calls", "tools", "trouble"}[k] }

// A model is the screen. It is replaced with each message.
type model struct {
	ctx           context.Context
	o             Options
	width, height int

	items  []Item // all, newest first
	err    error
	loaded bool
	beat   bool // changes with each look, so that one sees it lives

	kind      kind
	filter    string
	filtering bool
	selected  string // the ID of the chosen item; "" follows the newest

	open   *detail
	shown  bool // texts are shown and not their shapes
	scroll int
}

// A detail is the open item, read anew while it is open.
type detail struct {
	id    string
	item  Item
	call  calls.Call
	tools []calls.StoredToolRequest
	err   error
}

type looked struct {
	items []Item
	err   error
}

type opened detail

type again time.Time

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return m.look() }

func (m model) look() tea.Cmd {
	return func() tea.Msg {
		items, err := look(m.ctx, m.o.Store)
		return looked{items, err}
	}
}

func (m model) read(i Item) tea.Cmd {
	return func() tea.Msg {
		d := detail{id: i.ID, item: i}
		if i.Call != nil {
			d.call, d.err = calls.Read(m.ctx, m.o.Store, i.Call.ID)
			if d.err == nil {
				d.tools, d.err = calls.ToolRequests(m.ctx, m.o.Store, i.Call.ID)
			}
		}
		return opened(d)
	}
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case looked:
		m.loaded, m.beat, m.err = true, !m.beat, msg.err
		if msg.err == nil {
			m.items = msg.items
		}
		next := tea.Tick(cmp.Or(m.o.Poll, pollPause), func(t time.Time) tea.Msg { return again(t) })
		if m.open != nil {
			if i, ok := m.item(m.open.id); ok {
				return m, tea.Batch(next, m.read(i))
			}
		}
		return m, next
	case again:
		return m, m.look()
	case opened:
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
		return m.typed(msg), nil
	case m.open != nil:
		return m.keyOpen(k)
	}
	return m.keyList(k)
}

// typed is a key while the filter is being written.
func (m model) typed(msg tea.KeyPressMsg) model {
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

func (m model) keyOpen(k string) (tea.Model, tea.Cmd) {
	switch k {
	case "esc", "left", "h", "backspace":
		m.open, m.scroll, m.shown = nil, 0, false
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
		m.scroll = 1 << 30 // the view stops at the end
	case "t":
		m.shown = !m.shown
	case "n", "p":
		to := m.move(map[string]int{"n": 1, "p": -1}[k])
		return to.enter()
	}
	m.scroll = min(m.scroll, max(0, len(m.detailLines())-m.page()))
	return m, nil
}

func (m model) keyList(k string) (tea.Model, tea.Cmd) {
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
		m.kind = (m.kind + 1) % kinds
	case "shift+tab":
		m.kind = (m.kind + kinds - 1) % kinds
	case "/":
		m.filtering = true
	case "esc":
		m.filter, m.selected = "", ""
	case "enter", "right", "l":
		return m.enter()
	}
	return m, nil
}

func (m model) enter() (tea.Model, tea.Cmd) {
	list := m.list()
	if len(list) == 0 {
		return m, nil
	}
	i := list[m.at(list)]
	m.selected, m.open, m.scroll, m.shown = i.ID, &detail{id: i.ID, item: i}, 0, false
	return m, m.read(i)
}

// list is what the filter leaves.
func (m model) list() []Item {
	var list []Item
	words := strings.Fields(strings.ToLower(m.filter))
items:
	for _, i := range m.items {
		if m.kind == onlyCalls && i.Call == nil || m.kind == onlyTools && i.Tool == nil || m.kind == onlyTrouble && !i.Trouble() {
			continue
		}
		for _, w := range words {
			if !strings.Contains(i.find, w) {
				continue items
			}
		}
		list = append(list, i)
	}
	return list
}

// at is where the chosen item is in the list.
func (m model) at(list []Item) int {
	for n, i := range list {
		if i.ID == m.selected {
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
	n := min(max(m.at(list)+by, 0), len(list)-1)
	m.selected = list[n].ID
	return m
}

func (m model) item(id string) (Item, bool) {
	for _, i := range m.items {
		if i.ID == id {
			return i, true
		}
	}
	return Item{}, false
}

// page is how many lines there are between head and foot.
func (m model) page() int { return max(1, m.height-4) }
