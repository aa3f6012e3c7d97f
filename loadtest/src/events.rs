//! What happens in a run, as it is reported while it happens.

use crate::engine::LiveSnapshot;
use results::{Arrivals, Cell, Key, Load, Results, Trial};
use std::time::Duration;

/// An event in a run, as reported to an [`Observer`].
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run begins.
    RunStarted {
        /// The name of the run.
        run_id: &'a str,
        /// Loads.
        loads: usize,
        /// Targets.
        targets: usize,
        /// Planned blocks of each load, which is the number of trials of each cell.
        blocks: usize,
        /// Planned trials over all cells.
        trials: usize,
        /// Estimated time to the end of the run.
        estimate: Duration,
        /// How the requests of its open loops are spaced; `None` if it has none.
        arrivals: Option<Arrivals>,
    },
    /// A block begins.
    BlockStarted {
        /// The load.
        load: &'a Load,
        /// How many blocks of the run began before it.
        done: usize,
        /// Planned blocks of the run, over all loads. Further ones may follow to make intervals narrower.
        planned: usize,
    },
    /// A block is over.
    BlockFinished {
        /// The load.
        load: &'a Load,
        /// Its cells, with their trials so far.
        cells: &'a [&'a Cell],
        /// The number of the block among those of the load.
        number: u64,
        /// How long it took.
        took: Duration,
    },
    /// A trial begins.
    TrialStarted {
        /// The cell.
        cell: &'a Key,
        /// Which trial of the cell, from 0.
        trial: usize,
    },
    /// A window of a knee search begins.
    KneeWindow {
        /// The cell.
        cell: &'a Key,
        /// Which trial of the cell, from 0.
        trial: usize,
        /// The number of the window within the trial, from 0.
        number: usize,
        /// The rate that it tries, in requests a second.
        rate: f64,
    },
    /// A window was thrown away because other programs disturbed it, and is made again.
    MadeAgain {
        /// The cell.
        cell: &'a Key,
        /// Which trial of the cell, from 0.
        trial: usize,
        /// What disturbed it.
        why: &'a str,
    },
    /// Other load tests run on this machine now, with these process ids. Reported once, when the run begins.
    Disturbed {
        /// Process ids, ascending.
        by: &'a [u32],
    },
    /// A target that has answered before does not answer; the next trial waits for it.
    WaitsForTarget {
        /// The name of the target.
        target: &'a str,
    },
    /// The next trial waits until the kernel's table of tracked connections has room for the connections of the trial.
    /// Reported once a second.
    WaitsForRoom {
        /// The longest time that it waits from now on.
        at_most: Duration,
        /// Estimated time to the end of the run.
        remaining: Duration,
    },
    /// Progress, about ten times a second during a trial.
    Progress {
        /// The cell.
        cell: &'a Key,
        /// Time since the load began, warm-up included.
        elapsed: Duration,
        /// Length of the load, warm-up included.
        planned: Duration,
        /// Complete answers since the load began.
        answered: u64,
        /// Errors since the window began (during warm-up: since the load began).
        errors: u64,
        /// Estimated time to the end of the run.
        remaining: Duration,
        /// The counts and latencies of the window so far.
        live: &'a LiveSnapshot,
    },
    /// A trial was measured.
    TrialFinished {
        /// The cell.
        cell: &'a Key,
        /// What was measured.
        trial: &'a Trial,
    },
    /// The last trial of a cell is over.
    CellFinished {
        /// The cell with its figures and verdict.
        cell: &'a Cell,
    },
    /// The run is over, and its cells are ranked.
    RunFinished {
        /// The results of all cells.
        results: &'a Results,
    },
}

/// Is notified of the events of a run.
pub trait Observer {
    /// Called for each event, from the thread that called [`run`](crate::run()).
    fn on(&mut self, event: Event<'_>);
}

/// Notifies two observers, one after the other.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on(&mut self, event: Event<'_>) {
        self.0.on(event);
        self.1.on(event);
    }
}

/// Notifies nobody.
impl Observer for () {
    fn on(&mut self, _: Event<'_>) {}
}

/// An observer that may be absent.
impl<O: Observer> Observer for Option<O> {
    fn on(&mut self, event: Event<'_>) {
        if let Some(observer) = self {
            observer.on(event);
        }
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn on(&mut self, event: Event<'_>) {
        (**self).on(event);
    }
}
