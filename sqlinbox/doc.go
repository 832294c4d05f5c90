// Package sqlinbox is a durable inbox in a SQL database, on River: SQLite on
// one machine, PostgreSQL for many. It opens the database for package sqlstore
// as well, since both are meant to be in the same one.
//
//	db, err := sqlinbox.Open(ctx, "serverurl.db")
//	inbox, err := sqlinbox.New(db, p.Deliver, sqlinbox.Options{Sweep: p.Sweep})
//	err = p.Bind(core.Platform{Store: db.Store(), Inbox: inbox, ...})
//	err = inbox.Run(ctx) // delivers until ctx ends
//
// Concurrent Puts share one commit, so that waiting for the disk does not cost
// throughput. What cannot be delivered is tried again, at growing intervals,
// and then kept as dead.
package sqlinbox
