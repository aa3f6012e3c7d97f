//! **linux-aio**: sockets by readiness, files by the kernel's own asynchronous I/O: io_submit(2), past the page cache.
//!
//! A file that is in memory is sent as in epoll. Any other one is read by O_DIRECT, chunk by chunk, and each completion makes an
//! eventfd(2) among the sockets readable.

mod context;
mod reads;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use app::App;
use driver::{Acceptor, Calls, Connections, Event, Interest, Key, Permits, Poller, on_each_thread};
use epoll::Epoll;
use nix::sys::statfs::{self, statfs};
use supervisor::Model;

use reads::Reads;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Reads are complete.
const COMPLETIONS: Key = Key::Own(0);

/// Runs a loop on every thread until SIGTERM has come and every connection is closed.
///
/// # Errors
/// `ErrorKind::Unsupported` where the machine does not permit io_setup(2), `ErrorKind::QuotaExceeded` where it has no room for
/// another context.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    app.state("file_system", &file_system(&app.settings().files)?);
    let permits = Permits::new(app.settings().max_connections);
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let acceptor = Acceptor::new(&listener, calls, &permits)?;
        let connections = Connections::new(acceptor, Reads::new(app, calls)?, |_, now| app.connect(now))?;
        run(connections, Epoll::new(calls)?)
    })
}

/// epoll's loop, which submits reads in batches, does something else meanwhile, and resumes the connections whose read is
/// complete.
fn run(mut connections: Connections<'_, App, Reads>, mut poller: Epoll) -> io::Result<()> {
    connections.watch_own(&mut poller)?;
    poller.watch(connections.files().as_fd(), COMPLETIONS, Interest::Read)?;
    let mut ready = Vec::new();
    while !connections.is_finished() {
        connections.files().submit()?; // io_submit(2)
        poller.wait(connections.timeout(), &mut ready)?; // epoll_wait(2)
        connections.set_now(Instant::now());
        for Event { key, readiness } in ready.drain(..) {
            match key {
                Key::Listener => connections.accept(&mut poller)?,
                Key::Helpers => connections.finish_jobs(&mut poller)?,
                Key::Stop => connections.stop(&mut poller)?,
                Key::Connection(id) => connections.advance(id, readiness, &mut poller)?,
                Key::Own(_) => {
                    for id in connections.files().complete()? {
                        connections.resume(id, &mut poller)?; // at once: a chunk is sent before another may take its slot
                    }
                }
            }
        }
        connections.run_timers(&mut poller)?;
        while let Some(id) = connections.files().next_in_queue() {
            connections.resume(id, &mut poller)?;
        }
    }
    Ok(())
}

/// The type of the file system that a directory is on: statfs(2). Whether O_DIRECT works, and blocks, depends on it.
fn file_system(dir: &Path) -> io::Result<String> {
    const NAMES: [(statfs::FsType, &str); 6] = [
        (statfs::BTRFS_SUPER_MAGIC, "btrfs"),
        (statfs::EXT4_SUPER_MAGIC, "ext4"), // ext2 and ext3 have the same number
        (statfs::NFS_SUPER_MAGIC, "nfs"),
        (statfs::OVERLAYFS_SUPER_MAGIC, "overlay"),
        (statfs::TMPFS_MAGIC, "tmpfs"),
        (statfs::XFS_SUPER_MAGIC, "xfs"),
    ];
    let number = statfs(dir)?.filesystem_type();
    let name = NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    Ok(name.unwrap_or_else(|| format!("{:#x}", number.0)))
}
