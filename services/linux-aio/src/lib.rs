//! **linux-aio**: sockets by readiness, files by the kernel's own asynchronous I/O: io_submit(2), past the page cache.
//!
//! A chunk is read by O_DIRECT into a mapped temporary file, its completion makes an eventfd(2) among the sockets
//! readable, and sendfile(2) sends it from there: lighttpd 1.5's `linux-aio-sendfile`.

mod context;
mod pages;
mod reads;

use std::io;
use std::net::TcpListener;
use std::path::Path;

use app::App;
use driver::{
    Arrivals, Calls, HELPERS, LISTENER, Peers, Places, READS, Readiness, STOP, Stop, Trigger, on_each_thread,
};
use nix::sys::statfs::{self, statfs};
use supervisor::Model;

use reads::Reads;

/// This model.
pub const MODEL: Model = Model::new(env!("CARGO_PKG_NAME"), serve);

/// Runs a loop on every thread until SIGTERM has come and every connection is finished.
///
/// # Errors
/// `ErrorKind::Unsupported` where the machine does not permit io_setup(2), or has no room for another context.
pub fn serve(listener: TcpListener, app: App) -> io::Result<()> {
    app.state("file_system", &file_system(&app.settings().files)?);
    let places = Places::new(app.settings().max_connections);
    on_each_thread(app.settings().threads, || {
        let app = app.worker();
        let calls = Calls(app.counters());
        let arrivals = Arrivals::new(&listener, calls, &places)?;
        let reads = Reads::new(app, calls)?;
        run(Peers::new(arrivals, reads, Trigger::Edge, |_, now| app.connect(now))?, Interest::new(calls)?)
    })
}

/// The loop: it submits reads, does something else meanwhile, and gives those a turn whose read is complete.
fn run(mut peers: Peers<'_, App, Reads>, mut interest: Interest) -> io::Result<()> {
    let stop = Stop::new()?;
    interest.listen(&stop, STOP, true)?;
    interest.listen(peers.helpers(), HELPERS, true)?;
    interest.listen(peers.files(), READS, true)?;
    let mut listening = false;
    let mut ready = Vec::new();
    while !peers.is_finished() {
        if listening != peers.accepts() {
            listening = !listening;
            interest.listen(peers.arrivals(), LISTENER, listening)?;
        }
        interest.wait(&mut ready, peers.pause())?;
        peers.waited();
        for (key, readiness) in ready.drain(..) {
            match key {
                LISTENER => peers.accept()?,
                HELPERS => peers.finish_jobs()?,
                READS => {
                    // At once: a chunk has been sent from before another one may take its place.
                    for key in peers.files().complete()? {
                        peers.turn(key, Readiness::default())?;
                    }
                }
                STOP => {
                    interest.listen(&stop, STOP, false)?; // it stays readable
                    peers.stop();
                }
                _ => peers.turn(key, readiness)?,
            }
        }
        peers.work()?;
        while let Some(key) = peers.files().next_in_line() {
            peers.turn(key, Readiness::default())?;
        }
        peers.changes(|fd, key, watch| interest.watch(fd, key, watch))?;
    }
    Ok(())
}

/// What the kernel watches for this loop.
type Interest = driver::Epoll;

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
