// Package sqldb keeps a backend's calls and its inbox in one SQL database:
// SQLite on one machine, PostgreSQL for several instances. It opens the
// database, creates and migrates its tables, and implements [records.Store] and
// [core.Inbox]; accepted events are jobs of River.
//
// It never acknowledges what is not durable: [Inbox.Put] and [Store.Commit]
// return nil only after a commit that waited for the disk. It never runs on a
// database that would break this: an old SQLite, commits that are not synced,
// a network file system or a replica is refused or warned of. It never logs or
// returns what is stored: errors hold an operation and a code.
//
//	db, err := sqldb.Open(ctx, "serverurl.db") // or postgres://user:password@host:5432/name
//	inbox, err := sqldb.NewInbox(db, p.Deliver, sqldb.InboxOptions{Sweep: p.Sweep})
//	err = p.Bind(core.Platform{Store: db.Store(), Inbox: inbox, ...})
//	err = inbox.Run(ctx) // delivers until ctx ends
//	err = db.Close()
//
// Concurrent Puts share a commit, so that waiting for the disk does not cost
// throughput, and on SQLite so do concurrent Commits. A delivery that fails is
// retried at growing intervals and ends as a dead letter. An instance that a
// platform freezes between requests uses [OpenLazy] and [Inbox.Drain].
//
// # What is stored
//
// Records are in one table, serverurl_records: a row per record. Its clock is
// the database's, so that two instances agree on the age and the expiry of a
// record. A version comes from a counter of the database and is never reused.
// A Commit of one record is one statement; a Commit of several is one
// transaction that takes its records in the order of their keys, so that two
// Commits never deadlock. Expired records are absent at once and stay on disk
// until [Store.Sweep]. The inbox is River's tables; their event payload is
// compressed and opaque to the database.
//
// # Poolers
//
// Nothing is kept in a session: no named prepared statement, no setting, no
// lock that outlives its transaction. Both halves work through PgBouncer in
// transaction mode, where notifications do not arrive and the inbox is polled.
// Never use a read replica: a read must see every Commit that returned before
// it began.
//
// # Migrations
//
// [Open] and [Store.Migrate] bring the schema up to the version that this
// program knows. Any number of processes may do so at the same time, while
// others serve.
//
// A release that changes the schema only adds to it (expand). What is no longer
// used is dropped by a later release (contract). So a program works on the
// schema before its own and on later ones, up to the one that declares that it
// needs a newer program: each migration begins with the oldest schema that a
// program must know to continue, "-- needs 1". A program that is too old
// refuses to start.
//
// # Backups and file systems
//
// A SQLite database is three files: the database, -wal and -shm. A copy of the
// first while a program runs is not a backup. Use VACUUM INTO, the shell's
// .backup, or a tool that follows the log; then open the copy once and let
// [QuickCheck] read it. After a restore the newest records are missing, among
// them what tools have done: treat their calls as unknown, not as new.
//
// Keep a SQLite database on a local disk. Its locks and its shared memory do
// not work over a network (NFS, SMB, most mounts of cloud functions), and a
// disk that ends with the instance loses what was acknowledged. If there is no
// such disk, use PostgreSQL, with its own backups (pg_dump, or a base backup
// and the log).
package sqldb
