package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/strikeplate/strikeplate/storage"
	"github.com/strikeplate/strikeplate/storage/memory"
	"github.com/strikeplate/strikeplate/storage/storagetest"
)

// brokenDeliveries break one promise to consumers each.
var brokenDeliveries = []brokenOperator{
	{"anybody is a consumer", "OperatorNames", delivering(faults{anybody: true})},
	{"the newest first", "DeliveryContinues", delivering(faults{newestFirst: true})},
	{"a new consumer begins at the end", "DeliveryContinues", delivering(faults{beginsNow: true})},
	{"a new consumer that acknowledges begins at the end", "AcknowledgeFirst", delivering(faults{beginsNow: true})},
	{"nothing is acknowledged", "DeliveryContinues", delivering(faults{deaf: true})},
	{"delivered once", "DeliveryRepeats", delivering(faults{once: true})},
	{"consumers share their acknowledgements", "DeliveryApart", delivering(faults{sharedMarks: true})},
	{"organisations share their acknowledgements", "DeliveryApart", delivering(faults{oneMark: true})},
	{"the last acknowledgement wins", "AcknowledgeIsMonotone", delivering(faults{lastWins: true})},
	{"the lowest of a crowd wins", "AcknowledgeRace", delivering(faults{crowd: true})},
	{"the lowest of a crowd that comes first wins", "FirstAcknowledgeRace", delivering(faults{crowd: true})},
	{"acknowledged before it is written", "AcknowledgeAhead", delivering(faults{ahead: true})},
	{"limit 0 is 50", "DeliveryLimits", delivering(faults{fifty: true})},
	{"no limit of the limit", "DeliveryLimits", delivering(faults{short: true})},
	{"a long log fills the page", "DeliveryShares", delivering(faults{greedy: true})},
	{"always the same organisations", "DeliveryTurns", delivering(faults{noTurns: true})},
	{"a long log is drained first", "DeliveryOfNews", delivering(faults{greedy: true, noTurns: true})},
	{"an empty log takes a turn", "DeliveryAfterTrimming", delivering(faults{counts: true})},
	{"consumers without end", "FewConsumers", delivering(faults{manyConsumers: true})},
	{"late commits skipped", "DeliveryRace", delivering(faults{late: true})},
	{"commits under way missed", "FirstHeardRace", func() storagetest.Operated {
		return &lateRegistry{deliverer: newDeliverer(faults{}), before: newMeeting(storagetest.Many), after: newMeeting(storagetest.Many)}
	}},
}

// faults are what a deliverer does wrong.
type faults struct {
	anybody, newestFirst, beginsNow, deaf, once, sharedMarks, oneMark, lastWins, ahead, fifty, short bool
	greedy, noTurns, counts, manyConsumers, crowd, late                                              bool
}

// deliverer delivers by reading every log. With no fault it is sound.
type deliverer struct {
	*memory.Store
	faults
	met *meeting // of a crowd's acknowledgements

	mu     sync.Mutex
	marks  map[string]map[string]int64 // by consumer and organisation
	served map[string]string
	hidden map[string]bool  // entries that were late once
	last   map[string]int64 // how many entries an organisation has had
}

func newDeliverer(f faults) *deliverer {
	return &deliverer{
		Store: memory.New(), faults: f, met: newMeeting(storagetest.Many),
		marks: make(map[string]map[string]int64), served: make(map[string]string), hidden: make(map[string]bool), last: make(map[string]int64),
	}
}

func delivering(f faults) func() storagetest.Operated {
	return func() storagetest.Operated { return newDeliverer(f) }
}

func (d *deliverer) Commit(ctx context.Context, m storage.Mutation) error {
	d.mu.Lock()
	for _, e := range m.Audit {
		d.last[e.Organisation]++
	}
	d.mu.Unlock()
	return d.Store.Commit(ctx, m)
}

func (d *deliverer) marksOf(consumer string) (map[string]int64, error) {
	if consumer == "" || !storage.ValidText(consumer) {
		return nil, errors.New("no name of a consumer")
	}
	if d.sharedMarks {
		consumer = "everybody"
	}
	if d.marks[consumer] == nil {
		if len(d.marks) == storage.MaxConsumers && !d.manyConsumers {
			return nil, errors.New("too many consumers")
		}
		d.marks[consumer] = make(map[string]int64)
		for _, name := range d.names() {
			if d.beginsNow {
				d.marks[consumer][name] = d.last[name]
			}
		}
	}
	return d.marks[consumer], nil
}

func (d *deliverer) names() []string {
	names, err := d.Organisations(context.Background(), "", 10_000)
	if err != nil {
		panic(err)
	}
	return names
}

// log reads what follows a position.
func (d *deliverer) log(organisation string, after int64) []storage.Entry {
	var all []storage.Entry
	q := storage.Query{Organisation: organisation, Cursor: strconv.FormatInt(after, 10), Limit: 1000}
	for {
		page, next, err := d.Entries(context.Background(), q)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // the log has not come that far
		}
		if err != nil {
			panic(err)
		}
		if q.Cursor = next; len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func (d *deliverer) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	marks, err := d.marksOf(consumer)
	if err != nil && d.anybody {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch {
	case d.fifty && limit == 0:
		limit = 50
	case d.short:
		limit = min(storage.BatchSize(limit), 1000)
	default:
		limit = storage.BatchSize(limit)
	}
	page := d.page(consumer, marks, limit)
	if d.newestFirst {
		slices.Reverse(page)
	}
	for _, e := range page {
		if d.once {
			marks[e.Organisation] = e.Position
		}
	}
	return slices.DeleteFunc(page, func(e storage.Entry) bool {
		name := fmt.Sprint(consumer, e.Organisation, e.Position)
		late := d.late && e.Position%7 == 3 && !d.hidden[name]
		if late {
			d.hidden[name] = true
		}
		return late
	}), nil
}

// page divides limit among the organisations that have news.
func (d *deliverer) page(consumer string, marks map[string]int64, limit int) (page []storage.Entry) {
	names := d.names()
	if d.counts {
		names = slices.Sorted(maps.Keys(d.last))
	}
	if at, found := slices.BinarySearch(names, d.served[consumer]); !d.noTurns {
		if found {
			at++
		}
		names = append(names[at:len(names):len(names)], names[:at]...)
	}
	var logs [][]storage.Entry
	var waiting []int64
	for _, name := range names {
		entries := d.log(name, marks[name])
		gone := d.counts && d.last[name] > marks[name] // takes a place all the same
		if len(entries) == 0 && !gone || len(logs) == limit {
			continue
		}
		logs, waiting = append(logs, entries), append(waiting, int64(len(entries)))
		d.served[consumer] = name
	}
	shares := storage.Shares(waiting, limit)
	if d.greedy {
		for i, rest := 0, limit; i < len(shares); i++ {
			shares[i] = min(rest, len(logs[i]))
			rest -= shares[i]
		}
	}
	for i, share := range shares {
		page = append(page, logs[i][:share]...)
	}
	return page
}

func (d *deliverer) Acknowledge(ctx context.Context, consumer, organisation string, position int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	marks, err := d.marksOf(consumer)
	if err != nil || d.deaf {
		return err
	}
	if !d.ahead && !d.oneMark {
		position = min(position, d.last[organisation])
	}
	seen := marks[organisation]
	if d.crowd {
		d.mu.Unlock()
		d.met.wait()
		d.mu.Lock()
		if now := marks[organisation]; now != seen {
			position, seen = min(now, position), 0
		}
	}
	for _, name := range d.names() {
		if (name == organisation || d.oneMark) && (position > seen || d.lastWins) {
			marks[name] = position
		}
	}
	return nil
}

func (d *deliverer) EraseOrganisation(ctx context.Context, organisation string) error {
	err := d.Store.EraseOrganisation(ctx, organisation)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, marks := range d.marks {
		delete(marks, organisation)
	}
	return err
}

// lateRegistry tells each commit's consumers, as they were known when it began,
// of its organisations.
type lateRegistry struct {
	*deliverer
	before, after *meeting

	known sync.Map // consumer: *sync.Map of its organisations
}

func (s *lateRegistry) Commit(ctx context.Context, m storage.Mutation) error {
	var told []*sync.Map
	s.known.Range(func(_, of any) bool { told = append(told, of.(*sync.Map)); return true })
	s.before.wait()
	s.after.wait() // a consumer came meanwhile
	if err := s.deliverer.Commit(ctx, m); err != nil {
		return err
	}
	for _, of := range told {
		for _, e := range m.Audit {
			of.Store(e.Organisation, true)
		}
	}
	return nil
}

func (s *lateRegistry) Undelivered(ctx context.Context, consumer string, limit int) ([]storage.Entry, error) {
	if _, ok := s.known.Load(consumer); !ok {
		s.before.wait()
		of := new(sync.Map)
		for _, name := range s.names() {
			of.Store(name, true)
		}
		s.known.Store(consumer, of)
		s.after.wait()
	}
	of, _ := s.known.Load(consumer)
	page, err := s.deliverer.Undelivered(ctx, consumer, limit)
	return slices.DeleteFunc(page, func(e storage.Entry) bool {
		_, ok := of.(*sync.Map).Load(e.Organisation)
		return !ok
	}), err
}
