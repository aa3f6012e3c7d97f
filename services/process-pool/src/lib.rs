//! **process-pool**: blocking I/O, and processes that were forked before the connections arrive.
//!
//! Every worker waits in accept(2) on the same listener, serves one whole connection, and waits again. The parent only
//! counts: when too few workers are idle, it forks more; when too many have been idle for a while, it ends some; and it
//! replaces a worker that has crashed.

mod pool;
mod worker;

use std::io;
use std::net::TcpListener;

use app::App;
use driver::{Calls, inherit_timeouts};
use supervisor::{Flag, Model, Resource};

use pool::{Pool, Spare};

/// This model.
pub const MODEL: Model = Model {
    connection_takes: Resource::Process,
    flags: &[START, MIN_SPARE, MAX_SPARE],
    ..Model::new(env!("CARGO_PKG_NAME"), serve)
};

// As StartServers, MinSpareServers and MaxSpareServers of Apache's prefork, and with their defaults.
const START: Flag = Flag {
    name: "start",
    env: "START",
    default: Some("5"),
    help: "Workers to begin with",
    at_most: &["max-connections"],
    is_threads: false,
};
const MIN_SPARE: Flag = Flag {
    name: "min-spare",
    env: "MIN_SPARE",
    default: Some("5"),
    help: "Idle workers below which more are forked",
    at_most: &["max-spare", "max-connections"],
    is_threads: false,
};
const MAX_SPARE: Flag = Flag {
    name: "max-spare",
    env: "MAX_SPARE",
    default: Some("10"),
    help: "Idle workers above which some are ended each second",
    at_most: &[],
    is_threads: false,
};

/// Keeps a pool of workers, each of which serves one connection after the other. There are never more workers than
/// connections may be open.
///
/// # Errors
/// A system call failed for a reason that the model cannot handle.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    let settings = app.settings();
    inherit_timeouts(&listener, &settings.limits)?;
    app.warm_up();
    let most = settings.max_connections;
    let spare = Spare { min: settings.flag(MIN_SPARE.name), max: settings.flag(MAX_SPARE.name) };
    let mut pool = Pool::new(&listener, most, spare, Calls(app.counters()))?;
    pool.grow(settings.flag(START.name), app)?;
    while !pool.is_finished() {
        pool.wait()?;
        pool.reap()?;
        pool.grow(pool.missing(), app)?;
        pool.shrink();
    }
    Ok(())
}
