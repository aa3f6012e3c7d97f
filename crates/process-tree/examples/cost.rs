//! Measures what a sample itself costs: forks as many idle children as its argument says, and samples the tree with
//! several budgets.
//!
//! `cargo run --release -p process-tree --example cost -- 2000`

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::unistd::{ForkResult, fork, getpid, pipe};
use process_tree::Tree;

fn main() -> io::Result<()> {
    let children: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(2000);
    let (held_open, gate) = pipe()?;
    let (ready, report) = pipe()?;
    let mut gate = Some(gate);
    for _ in 0..children {
        // SAFETY: This process has one thread, so the child may do everything that its parent may.
        if let ForkResult::Child = unsafe { fork()? } {
            drop(gate.take());
            std::fs::File::from(report).write_all(b"x")?;
            return wait_until_closed(held_open);
        }
    }
    std::fs::File::from(ready).read_exact(&mut vec![0; children as usize])?;

    for budget in [Duration::ZERO, Duration::from_millis(20), Duration::from_secs(60)] {
        let mut tree = Tree::new(getpid()).with_budget(budget);
        for _ in 0..3 {
            let begun = Instant::now();
            let sample = tree.sample()?;
            println!(
                "budget {budget:>5?}: {:.1?} for {} processes, {:?} bytes by {}",
                begun.elapsed(),
                sample.processes,
                sample.memory_bytes.unwrap_or(0),
                sample.memory_source
            );
        }
    }
    Ok(())
}

/// Waits until the parent's end of the pipe is closed, which happens when the parent exits.
fn wait_until_closed(gate: OwnedFd) -> io::Result<()> {
    std::fs::File::from(gate).read_to_end(&mut Vec::new()).map(drop)
}
