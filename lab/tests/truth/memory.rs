//! Memory a connection, against what the fields of `/proc/meminfo` grew by.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use process_tree::KernelMemory;
use results::{BackgroundLoad, Load, Plan, Schedule};

use crate::service::{Service, only_cell};
use crate::{alone, skipped};

const CONNECTIONS: usize = 4000;

/// How a model is compared.
struct Comparison {
    model: &'static str,
    /// A program that looks through /proc leaves some MB of inodes behind, which a connection of 5 KB shows and one of 50 KB
    /// does not. So some of five readings may differ by more than [`TOLERANCE`], but not four.
    times: usize,
    /// Of the CPUs other programs may use this share. Above 4 % the load test repeats a trial, on the memory that the last one
    /// has left behind, some hundred bytes a connection. (Threads of the kernel use up to a fifth beside 4000 processes.)
    most_foreign: f64,
}

const COMPARISONS: [Comparison; 4] = [
    Comparison { model: "process-per-connection", times: 1, most_foreign: 0.3 },
    Comparison { model: "thread-per-connection", times: 1, most_foreign: 0.3 },
    Comparison { model: "epoll", times: 5, most_foreign: 0.04 },
    Comparison { model: "uring", times: 5, most_foreign: 0.04 },
];

/// The flags of the services.
const ARGUMENTS: [&str; 4] = ["--max-connections", "5000", "--idle-timeout", "5m"];

/// A machine's memory stands still if it moves by less than this within 300 ms.
const STILL: u64 = 1 << 20;
/// The lab's figure may differ by this share from what the machine lost.
const TOLERANCE: f64 = 0.25;

fn all(memory: &KernelMemory) -> u64 {
    memory.anonymous + memory.kernel()
}

/// The machine's memory when it stands still, after the kernel has summed up its counters (vm.stat_refresh).
fn still() -> Result<u64, String> {
    let read = || {
        let _ = std::fs::read("/proc/sys/vm/stat_refresh");
        KernelMemory::read().map(|memory| all(&memory)).map_err(|error| error.to_string())
    };
    let until = Instant::now() + Duration::from_secs(5);
    let mut before = read()?;
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = read()?;
        if now.abs_diff(before) < STILL {
            return Ok(now);
        }
        if Instant::now() > until {
            return Err(format!("the machine's memory moves by {} KiB in 300 ms", now.abs_diff(before) >> 10));
        }
        before = now;
    }
}

/// A connection that ends with a reset: TIME_WAIT would take memory for a minute. socket(7)
fn connect(address: impl ToSocketAddrs) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    Ok(stream)
}

/// Opens idle connections to a service, each of which has been answered once.
fn open(address: &str) -> std::io::Result<Vec<TcpStream>> {
    let one = || {
        let mut stream = connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
        // To its end: bytes that nothing has read take memory in the client's socket.
        let mut answer = Vec::new();
        while !answer.ends_with(b"Hello World\n") {
            let mut part = [0; 512];
            match stream.read(&mut part)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                n => answer.extend(&part[..n]),
            }
        }
        Ok(stream)
    };
    std::iter::repeat_with(one).take(CONNECTIONS).collect()
}

/// What the machine has lost for each idle connection to a model, in bytes: both ends, and all that the model has for it.
fn lost(model: &str) -> Result<f64, String> {
    let service = Service::start(model, &ARGUMENTS, None);
    let before = still()?;
    let opened = open(&service.listen).map_err(|error| format!("{CONNECTIONS} connections: {error}"))?;
    let after = still()?;
    drop(opened);
    Ok((after as f64 - before as f64) / CONNECTIONS as f64)
}

/// What an end of a connection takes, in bytes: this process has as many ends of connections to itself.
fn own_end() -> Result<f64, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let before = still()?;
    let pair = |_| {
        let client = connect(address)?;
        Ok((client, listener.accept()?.0))
    };
    let pairs =
        (0..CONNECTIONS / 2).map(pair).collect::<std::io::Result<Vec<_>>>().map_err(|error| error.to_string())?;
    let after = still()?;
    drop(pairs);
    Ok((after as f64 - before as f64) / CONNECTIONS as f64)
}

/// The lab's figure for a model: user and kernel memory a connection.
fn told(&Comparison { model, most_foreign, .. }: &Comparison) -> Result<f64, String> {
    let service = Service::start(model, &ARGUMENTS, None);
    let plan = Plan {
        targets: vec![model.into()],
        loads: vec![Load {
            schedule: Schedule::Rate(50.0),
            concurrency: 1,
            background: BackgroundLoad { idle: CONNECTIONS, ..BackgroundLoad::default() },
            ..Load::default()
        }],
        duration: Duration::from_millis(1000),
        warmup: Duration::from_millis(100),
        timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(60),
        ..Plan::default()
    };
    let cell = only_cell(&plan, &mut service.fleet(&service.admin, 1));
    let trial = cell.trials.first();
    let foreign = trial.and_then(|trial| trial.figures.machine.foreign_on_server_cpus).unwrap_or_default();
    if foreign > most_foreign {
        return Err(format!("other programs used {:.0} % of the CPUs", foreign * 100.0));
    }
    let figure = trial.and_then(|trial| trial.figures.server.memory_bytes_per_connection);
    figure.ok_or_else(|| {
        let trial = trial.expect("a trial, since nothing interrupts this run");
        assert!(!trial.missing.is_empty(), "{model}: a figure without a reason");
        format!("there is no figure: {:?} {:?}", trial.missing, trial.background.idle)
    })
}

/// The median; `None` where most readings are far from it.
fn median(mut readings: Vec<f64>) -> Option<f64> {
    readings.sort_by(f64::total_cmp);
    let median = readings[readings.len() / 2];
    let near = readings.iter().filter(|reading| (*reading / median - 1.0).abs() < TOLERANCE / 3.0).count();
    (near > readings.len() / 2).then_some(median)
}

/// Compares the figure of the lab with what the machine lost.
///
/// # Errors
/// Why this machine cannot tell.
fn compare(comparison: &Comparison) -> Result<(), String> {
    let &Comparison { model, times, .. } = comparison;
    let (mut own, mut lost, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        own.push(own_end()?);
        lost.push(self::lost(model)?);
        told.push(self::told(comparison)?);
    }
    println!("{model}: {told:.0?} bytes told, {lost:.0?} lost, of which the client's end is {own:.0?}");
    let noisy = || "other programs use and free too much memory".to_owned();
    let own = median(own).ok_or_else(noisy)?;
    median(lost.clone()).ok_or_else(noisy)?;
    let is_outside = |(told, lost): &(f64, f64)| (told / (lost - own) - 1.0).abs() > TOLERANCE;
    let outside = told.into_iter().zip(lost).filter(is_outside).count();
    assert!(outside * 5 < times * 4, "{model}: {outside} of {times} readings differ by more than a quarter");
    Ok(())
}

#[test]
fn memory_a_connection_agrees_with_what_the_machine_lost() {
    let _alone = alone();
    let _ = process_tree::raise_open_file_limit();
    for comparison in &COMPARISONS {
        if let Err(why) = compare(comparison) {
            skipped(&format!("{}: {why}", comparison.model));
        }
    }
}
