// Package sqlstore is a [records.Store] in a SQL database: SQLite on one machine,
// PostgreSQL for many. It opens no driver; the room that uses it does.
//
// With SQLite and the driver modernc.org/sqlite:
//
//	dsn := sqlstore.SQLiteDSN("serverurl.db")
//	write, err := sql.Open("sqlite", dsn.Write)
//	write.SetMaxOpenConns(1) // SQLite has one writer
//	read, err := sql.Open("sqlite", dsn.Read)
//	err = sqlstore.CheckSQLite(ctx, write)
//	s := sqlstore.New(write, read, sqlstore.SQLite)
//	err = s.Migrate(ctx)
//
// With PostgreSQL and the driver github.com/jackc/pgx/v5/stdlib:
//
//	db, err := sql.Open("pgx", sqlstore.PostgresDSN(os.Getenv("DATABASE_URL")))
//	s := sqlstore.New(db, nil, sqlstore.Postgres)
//	err = s.Migrate(ctx)
//	warnings, err := sqlstore.CheckPostgres(ctx, db)
//
// # What is stored
//
// One table, serverurl_records: a row per record. Its clock is the database's,
// so that two instances agree on the age and the end of a record. A version
// comes from a counter of the database and is never given out twice. A Commit
// of one record is one statement; a Commit of several is one transaction, its
// records in the order of keys so that two never wait for each other.
//
// Expired records are absent at once and stay on disk until [Store.Sweep].
//
// # Poolers
//
// Nothing is kept in a session: no prepared statement with a name, no setting,
// no lock that outlives its transaction. The store works through PgBouncer in
// transaction mode when the driver keeps no named statements either, which is
// what [PostgresDSN] sees to. Never hand it a read replica: a read must see
// every Commit that returned before it began.
//
// # Migrations
//
// [Store.Migrate] brings the schema up to what this program knows. Any number
// of processes may call it at the same time, while others serve.
//
// A release that changes the schema only adds to it (expand). What nobody
// uses any more is taken away by a later release (contract). So a program works
// on the schema before its own and on later ones, up to the one that says it
// needs a newer program: each migration begins with the oldest schema that a
// program must know to go on, "-- needs 1". A program that is too old refuses
// to start.
//
// # Backups and file systems
//
// A SQLite database is three files: the database, -wal and -shm. A copy of the
// first while a program runs is not a backup. Use VACUUM INTO, the shell's
// .backup, or a tool that follows the log; then open the copy once and let
// [QuickCheck] read it. After a restore the newest records are gone, among
// them what tools have done: treat their calls as unknown, not as new.
//
// Keep a SQLite database on a disk of the machine. Its locks and its shared
// memory do not work over a network (NFS, SMB, most mounts of cloud
// functions), and a disk that ends with the instance loses what was
// acknowledged. Where there is no such disk, use PostgreSQL, with its own
// backups (pg_dump, or a base backup and the log).
package sqlstore
