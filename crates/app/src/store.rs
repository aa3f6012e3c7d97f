//! Where the nods are kept: SQLite, a real database, embedded, and safe across processes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

/// Connections to the database that one process has at most.
const MOST: usize = 8;
/// How long a call waits for another one's lock.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY) STRICT;
    CREATE TABLE IF NOT EXISTS nod (id INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES account, text TEXT NOT NULL) STRICT;
    INSERT OR IGNORE INTO account VALUES ('alice'), ('bob'), ('carol');
    COMMIT";

/// Makes the store in `file`, or sees that it is there: its tables, its accounts alice, bob and carol, and its
/// write-ahead log. What it holds already is kept.
///
/// To be called before the fork, which a connection must not cross: it is closed when this returns.
///
/// Fails if the file cannot be made, or is no such database; the error's text says which.
pub fn prepare_store(file: &Path) -> io::Result<()> {
    let prepare = || -> rusqlite::Result<String> {
        let connection = open(file, OpenFlags::SQLITE_OPEN_CREATE)?;
        // The log stays where it is for those who come; the last one to close would else write it back and delete it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        connection.execute_batch(TABLES)?;
        connection.prepare("SELECT id, account, text FROM nod")?; // a table of that name could be another's
        Ok(mode)
    };
    match prepare().map_err(io::Error::other)?.as_str() {
        "wal" => Ok(()),
        _ => Err(io::Error::other("there can be no write-ahead log")), // `:memory:`, and some network file systems
    }
}

fn open(file: &Path, also: OpenFlags) -> rusqlite::Result<Connection> {
    // No mutex: each connection is one thread's at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | also;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // What is committed is in the kernel's hands, and outlives this process, however it dies; only a power failure
    // could undo the last commits: SQLite's documentation, "PRAGMA synchronous".
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    Ok(connection)
}

/// One process' connections to the store, each opened when all others are in use, and never closed: processes end by
/// `_exit`.
pub struct Store {
    file: PathBuf,
    pool: Mutex<Pool>,
    freed: Condvar,
    /// Did the last call fail?
    failing: AtomicBool,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

impl Store {
    /// Opens nothing yet: a process may still fork, and most never need the store.
    pub fn at(file: &Path) -> Store {
        let file = file.to_owned();
        Store { file, pool: Mutex::default(), freed: Condvar::new(), failing: AtomicBool::new(false) }
    }

    /// Is there an account of that name?
    pub fn has_account(&self, name: &str) -> rusqlite::Result<bool> {
        const HAS: &str = "SELECT EXISTS (SELECT 1 FROM account WHERE name = ?1)";
        self.call(|connection| connection.query_row(HAS, [name], |row| row.get(0)))
    }

    /// Saves a nod: it is there when this returns, or not at all.
    pub fn save(&self, account: &str, text: &str) -> rusqlite::Result<()> {
        self.call(|connection| {
            // At once the only one who writes: it waits for others here, and not half-way.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute("INSERT INTO nod (account, text) VALUES (?1, ?2)", [account, text])?;
            transaction.commit()
        })
    }

    /// The latest nods, each with its account, newest first.
    pub fn latest(&self, most: u32) -> rusqlite::Result<Vec<(String, String)>> {
        self.call(|connection| {
            let mut nods = connection.prepare("SELECT account, text FROM nod ORDER BY id DESC LIMIT ?1")?;
            nods.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// One line on stderr when calls begin to fail, and not one for each.
    pub fn note<T>(&self, result: &rusqlite::Result<T>) {
        if let Err(error) = result
            && !self.failing.load(Relaxed)
        {
            let line = format!("the store {}: {error}\n", self.file.display());
            let _ = io::stderr().write_all(line.as_bytes());
        }
        self.failing.store(result.is_err(), Relaxed);
    }

    /// Makes a call on a connection that nobody else uses; waits for one, if need be.
    fn call<T>(&self, call: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let pool = self.freed.wait_while(self.pool(), |pool| pool.lent == MOST);
        let mut pool = pool.unwrap_or_else(PoisonError::into_inner);
        pool.lent += 1;
        let mut lent = Lent { store: self, connection: pool.idle.pop() };
        drop(pool);
        call(match &mut lent.connection {
            Some(connection) => connection,
            none => none.insert(open(&self.file, OpenFlags::empty())?),
        })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use; dropped, it is the next one's.
struct Lent<'a> {
    store: &'a Store,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.store.pool();
        pool.lent -= 1;
        pool.idle.extend(self.connection.take());
        self.store.freed.notify_one();
    }
}
