//! The store of the nods: SQLite, a real database, embedded, and safe when several processes use it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// The most connections to the database that one process has.
const MAX_CONNECTIONS: usize = 8;
/// The store keeps that many nods, the latest ones: at most 16 MB of text. The write-ahead log has about 4 MB, SQLite's default
/// (to write it back more often costs fsync(2) calls on a disk, three times the time of a nod at 1 MB).
const KEPT: i64 = 4_000;
/// Each time that so many nods were saved, as many that are too old are deleted, and as many again where there are more: so a
/// store that has far more shrinks, and no call is long.
const BATCH: i64 = 64;
/// The longest time for which a call waits for the lock of another call.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

const TABLES: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS nod (id INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES account, text TEXT NOT NULL) STRICT;
    INSERT OR IGNORE INTO account VALUES ('alice'), ('bob'), ('carol');
    COMMIT";

/// Creates in `file` what the store lacks: its tables, its accounts alice, bob and carol, and its write-ahead log. Data
/// that is already in it stays.
///
/// Call it before any fork. No connection may cross a fork, so this function closes the one that it opens.
///
/// Fails if the file cannot be created or is another kind of file; the error's text says which.
pub fn prepare_store(file: &Path) -> io::Result<()> {
    let prepare = || -> rusqlite::Result<String> {
        let connection = open(file, OpenFlags::SQLITE_OPEN_CREATE)?;
        // The last connection that closes would otherwise write the log back and delete it. It stays for the services.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        connection.execute_batch(TABLES)?;
        connection.prepare("SELECT id, account, text FROM nod")?; // fails if another program's table has this name
        Ok(mode)
    };
    match prepare().map_err(io::Error::other)?.as_str() {
        "wal" => Ok(()),
        // For `:memory:`, and on some network file systems.
        _ => Err(io::Error::other("there can be no write-ahead log")),
    }
}

fn open(file: &Path, also: OpenFlags) -> rusqlite::Result<Connection> {
    // SQLite needs no mutex, since only one thread at a time uses a connection.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | also;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    // A commit is in the page cache, so it outlives this process, however the process dies. Only a power failure can
    // undo the last commits: SQLite's documentation, "PRAGMA synchronous".
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    Ok(connection)
}

/// The connections of one process to the store. A call opens one when all others are in use. None is ever closed, since
/// processes end by `_exit`.
pub struct Store {
    file: PathBuf,
    pool: Mutex<Pool>,
    freed: Condvar,
    /// The last call failed.
    failing: AtomicBool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
}

impl Store {
    /// A store without connections yet: the process may still fork, and most processes never need one.
    pub fn at(file: &Path) -> Store {
        let file = file.to_owned();
        Store { file, pool: Mutex::default(), freed: Condvar::new(), failing: AtomicBool::new(false) }
    }

    /// Is there an account of that name?
    pub fn has_account(&self, name: &str) -> rusqlite::Result<bool> {
        const HAS: &str = "SELECT EXISTS (SELECT 1 FROM account WHERE name = ?1)";
        self.call(|connection| connection.query_row(HAS, [name], |row| row.get(0)))
    }

    /// Saves a nod. It is saved when this returns `Ok`, and otherwise not at all. Of the nods before it, the latest are kept.
    pub fn save(&self, account: &str, text: &str) -> rusqlite::Result<()> {
        self.call(|connection| match insert(connection, account, text) {
            // A checkpoint lets the log begin anew, and needs no space where the database no longer grows.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()))?;
                insert(connection, account, text)
            }
            outcome => outcome,
        })
    }

    /// The latest nods, each with its account, newest first.
    pub fn latest(&self, max: u32) -> rusqlite::Result<Vec<(String, String)>> {
        self.call(|connection| {
            let mut nods = connection.prepare("SELECT account, text FROM nod ORDER BY id DESC LIMIT ?1")?;
            nods.query_map([max], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Writes a line to stderr when calls begin to fail, instead of one for each failed call.
    pub fn note_outcome<T>(&self, result: &rusqlite::Result<T>) {
        if let Err(error) = result
            && !self.failing.load(Relaxed)
        {
            let line = format!("the store {}: {error}\n", self.file.display());
            let _ = io::stderr().write_all(line.as_bytes());
        }
        self.failing.store(result.is_err(), Relaxed);
    }

    /// Makes a call on a connection that no other call uses; waits for one if all are in use.
    fn call<T>(&self, call: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let pool = self.freed.wait_while(self.pool(), |pool| pool.in_use == MAX_CONNECTIONS);
        let mut pool = pool.unwrap_or_else(PoisonError::into_inner);
        pool.in_use += 1;
        let mut lease = Lease { store: self, connection: pool.idle.pop() };
        drop(pool);
        call(match &mut lease.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.file, OpenFlags::empty())?),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts a nod and deletes those that are too old, in one transaction. The pages of the deleted ones are used again.
fn insert(connection: &mut Connection, account: &str, text: &str) -> rusqlite::Result<()> {
    // By the key, so that no call looks at more nods than it deletes. The latest nod stays, so the keys only grow.
    const DELETE_OLDEST: &str = "DELETE FROM nod WHERE id IN (SELECT id FROM nod WHERE id <= ?1 ORDER BY id LIMIT ?2)";
    // An immediate transaction waits for the write lock here, and not in the middle.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("INSERT INTO nod (account, text) VALUES (?1, ?2)", [account, text])?;
    let id = transaction.last_insert_rowid();
    if id % BATCH == 0 {
        transaction.execute(DELETE_OLDEST, [id - KEPT, 2 * BATCH])?;
    }
    transaction.commit()
}

/// A connection in use. When it is dropped, the connection goes back to the pool.
struct Lease<'a> {
    store: &'a Store,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut pool = self.store.pool();
        pool.in_use -= 1;
        pool.idle.extend(self.connection.take());
        self.store.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::TempDir;

    /// A store, and a connection of its own to look into it.
    fn store(dir: &TempDir) -> (Store, Connection) {
        let file = dir.path().join("nods.db");
        prepare_store(&file).unwrap();
        (Store::at(&file), open(&file, OpenFlags::empty()).unwrap())
    }

    const COUNT: &str = "SELECT count(*) FROM nod";

    fn number(connection: &Connection, query: &str) -> i64 {
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_latest_nods_are_kept_and_the_file_stops_growing() {
        let dir = TempDir::new();
        let (store, connection) = store(&dir);
        let text = "x".repeat(100);
        let size = || std::fs::metadata(dir.path().join("nods.db")).unwrap().len();
        let checkpoint = || number(&connection, "PRAGMA wal_checkpoint(TRUNCATE)");
        let save = |times| (0..times).for_each(|_| store.save("alice", &text).unwrap());
        save(KEPT + 2 * BATCH);
        assert_eq!(checkpoint(), 0);
        let full = size();
        save(2 * KEPT);
        assert_eq!(checkpoint(), 0);
        assert!(size() <= full, "{} bytes, and {full} when it first was full", size());
        let (count, max) = (number(&connection, COUNT), number(&connection, "SELECT max(id) FROM nod"));
        assert_eq!(max, 3 * KEPT + 2 * BATCH, "the latest");
        assert!((KEPT..KEPT + BATCH).contains(&count), "{count}");
    }

    #[test]
    fn a_store_with_far_too_many_nods_shrinks_batch_by_batch() {
        let dir = TempDir::new();
        let (store, connection) = store(&dir);
        let too_many = (KEPT / BATCH + 10) * BATCH;
        let old = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {too_many})
             INSERT INTO nod SELECT i, 'bob', 'old' FROM n"
        );
        connection.execute_batch(&old).unwrap();
        let count = || number(&connection, COUNT);
        (0..BATCH).for_each(|_| store.save("alice", "new").unwrap());
        assert_eq!(count(), too_many - BATCH, "as many as are new, and as many again");
        (0..20 * BATCH).for_each(|_| store.save("alice", "new").unwrap());
        assert!((KEPT..KEPT + BATCH).contains(&count()), "{}", count());
    }

    #[test]
    fn a_full_disk_fails_calls_until_there_is_space() {
        let dir = TempDir::new();
        let (store, _) = store(&dir);
        let limit = |pages: u32| {
            let pragma = format!("PRAGMA max_page_count = {pages}");
            store.call(|connection| connection.query_row(&pragma, [], |_| Ok(()))).unwrap();
        };
        limit(20);
        let text = "x".repeat(1000);
        let full = (0..100).find_map(|_| store.save("alice", &text).err()).expect("20 pages do not hold 100 kB");
        assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
        let before = store.latest(100).unwrap().len();
        assert!(store.save("alice", &text).is_err());
        assert_eq!(store.latest(100).unwrap().len(), before, "a nod that was refused is not there");
        limit(1000);
        store.save("alice", &text).unwrap();
    }
}
