//! Memory a connection, against what the fields of `/proc/meminfo` grew by.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use process_tree::KernelMemory;
use results::{BackgroundLoad, Plan, Schedule};

use crate::service::{Service, only_cell};
use crate::{alone, skipped};

const CONNECTIONS: usize = 4000;
/// The flags of the services.
const ARGUMENTS: [&str; 4] = ["--max-connections", "5000", "--idle-timeout", "5m"];

/// A machine's memory stands still if it moves by less than this within 300 ms.
const STILL: u64 = 1 << 20;
/// What other programs may take or give back meanwhile, as a share of what the connections take.
const QUIET: f64 = 0.1;

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

/// Opens idle connections to a service, each of which has been answered once.
fn open(address: &str) -> std::io::Result<Vec<TcpStream>> {
    let one = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
        stream.read_exact(&mut [0; 15])?;
        Ok(stream)
    };
    std::iter::repeat_with(one).take(CONNECTIONS).collect()
}

/// What the machine has lost for each idle connection to a model, in bytes, less the client's end.
fn lost(model: &str, own_end: f64) -> Result<f64, String> {
    let service = Service::start(model, &ARGUMENTS, None);
    let before = still()?;
    let connections = open(&service.listen).map_err(|error| format!("{CONNECTIONS} connections: {error}"))?;
    let after = still()?;
    drop(connections);
    Ok((after as f64 - before as f64) / CONNECTIONS as f64 - own_end)
}

/// What both ends of a connection within this process take, in bytes, each: half of what a pair takes.
fn own_end() -> Result<f64, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let before = still()?;
    let pairs: Vec<(TcpStream, TcpStream)> = (0..CONNECTIONS)
        .map(|_| Ok((TcpStream::connect(address)?, listener.accept()?.0)))
        .collect::<std::io::Result<_>>()
        .map_err(|error| error.to_string())?;
    let after = still()?;
    drop(pairs);
    Ok((after as f64 - before as f64) / CONNECTIONS as f64 / 2.0)
}

/// The lab's figure for a model: user and kernel memory a connection.
fn told(model: &str) -> (Option<f64>, String) {
    let service = Service::start(model, &ARGUMENTS, None);
    let plan = Plan {
        targets: vec![model.into()],
        schedules: vec![Schedule::Rate(50.0)],
        concurrencies: vec![1],
        background: BackgroundLoad { idle: CONNECTIONS, ..BackgroundLoad::default() },
        duration: Duration::from_millis(1000),
        warmup: Duration::from_millis(100),
        timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(60),
        ..Plan::default()
    };
    let cell = only_cell(&plan, &mut service.fleet(&service.admin, 1));
    let trial = cell.trials.first();
    let why = trial.map(|trial| format!("{:?} {:?}", trial.missing, trial.background.idle)).unwrap_or_default();
    println!("{model}: {:?}", trial.map(|trial| trial.figures.server));
    (trial.and_then(|trial| trial.figures.server.memory_bytes_per_connection), why)
}

#[test]
fn memory_a_connection_agrees_with_what_the_machine_lost() {
    let _alone = alone();
    let _ = process_tree::raise_open_file_limit();
    let own = match own_end() {
        Ok(own) => own,
        Err(why) => return skipped(&why),
    };
    println!("the client's own end of a connection takes {own:.0} bytes");
    for model in ["process-per-connection", "thread-per-connection", "epoll", "uring"] {
        let skip = |why: String| skipped(&format!("{model}: {why}"));
        let lost = match lost(model, own).and_then(|first| Ok((first, lost(model, own)?))) {
            Ok((first, second)) if (first / second - 1.0).abs() < QUIET => f64::midpoint(first, second),
            Ok((first, second)) => {
                skip(format!("two readings of the same differ: {first:.0} and {second:.0} bytes a connection"));
                continue;
            }
            Err(why) => {
                skip(why);
                continue;
            }
        };
        let (before, (told, why), after) = (still(), told(model), still());
        let moves = (QUIET * lost * CONNECTIONS as f64).max(STILL as f64);
        let quiet = before.and_then(|before| Ok((after?.abs_diff(before) as f64) < moves));
        let Some(told) = told else {
            assert!(!why.is_empty(), "{model}: a figure without a reason");
            skip(format!("there is no figure: {why}"));
            continue;
        };
        println!("{model}: {told:.0} bytes told, {lost:.0} lost");
        if quiet != Ok(true) {
            skip("other programs took or gave back memory meanwhile".into());
            continue;
        }
        assert!((told / lost - 1.0).abs() < 0.25, "{model}: {told:.0} bytes told, {lost:.0} lost");
    }
}
