//! CPU time a request, against the kernel's account of the model's control group.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_tree::{Account, Served};
use results::{Load, PerConnection, Plan, Verdict};

use crate::group::Group;
use crate::service::{Service, only_cell, two_cpus};
use crate::{alone, skipped};

/// An account of the service, and the kernel's account of its model just before and just after: what the group has used,
/// less the clock of the supervisor.
struct Reading {
    before: Duration,
    account: Account,
    after: Duration,
}

/// Stands before the admin endpoint of a service, passes each request on, and reads the model's CPU time around each
/// request for `/account`.
fn observed(service: &Arc<Service>, group: &Arc<Group>) -> (String, Arc<Mutex<Vec<Reading>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let readings = Arc::new(Mutex::new(Vec::new()));
    let (into, group, service) = (readings.clone(), group.clone(), service.clone());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (into, group, service) = (into.clone(), group.clone(), service.clone());
            std::thread::spawn(move || pass_on(client, &service, &group, &into));
        }
    });
    (address, readings)
}

/// Serves one request of the load test; the answer closes the connection.
fn pass_on(client: TcpStream, service: &Service, group: &Group, into: &Mutex<Vec<Reading>>) -> Option<()> {
    let model = || group.usage().saturating_sub(service.supervisor_cpu());
    let head: Vec<String> =
        BufReader::new(&client).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let path = head.first()?.split(' ').nth(1)?;
    let before = model();
    let mut upstream = TcpStream::connect(&service.admin).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    upstream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).ok()?;
    let after = model();
    if path == "/account" {
        let text = String::from_utf8_lossy(&answer);
        let account = serde_json::from_str(text.split_once("\r\n\r\n")?.1).expect("an account");
        into.lock().expect("no test panics with it").push(Reading { before, account, after });
    }
    (&client).write_all(&answer).ok()
}

/// The loads under which the accounts have to agree: connections, requests a connection, path.
const LOADS: [(usize, Option<u32>, &str); 4] =
    [(64, None, "/"), (512, None, "/"), (64, Some(1), "/"), (64, None, "/files/64k")];

/// The server has one CPU, which it uses up. Over the window, the service's account of its CPU time agrees with that of
/// the kernel within 5 %, and the figure of the trial is that account over the replies.
#[test]
fn cpu_a_request_agrees_with_the_kernels_account_in_every_model() {
    let _alone = alone();
    let Some((server_cpu, load_cpu)) = two_cpus() else { return skipped("it needs two CPUs") };
    let mut compared = 0;
    for model in lab::MODELS {
        let group = match Group::make(model.name) {
            Ok(group) => Arc::new(group),
            Err(why) => return skipped(&why),
        };
        let (server, load) = (server_cpu.to_string(), load_cpu.to_string());
        let arguments = ["--cpus", &server, "--supervisor-cpus", &load];
        let service = Arc::new(Service::start(model.name, &arguments, Some(&group)));
        let (admin, readings) = observed(&service, &group);
        for (connections, requests, path) in LOADS {
            let plan = Plan {
                targets: vec![model.name.into()],
                loads: vec![Load {
                    workload: path.into(),
                    concurrency: connections,
                    requests_per_connection: PerConnection(requests.and_then(NonZeroU32::new)),
                    ..Load::default()
                }],
                duration: Duration::from_millis(800),
                warmup: Duration::from_millis(100),
                cpus: vec![load_cpu],
                timeout: Duration::from_secs(120),
                connect_timeout: Duration::from_secs(120),
                ..Plan::default()
            };
            readings.lock().expect("no test panics with it").clear();
            let cell = only_cell(&plan, &mut service.fleet(&admin, 1));
            let what = &cell.key;
            if cell.verdict == Verdict::Unsupported || cell.trials.is_empty() {
                skipped(&format!("{what}: {:?}", cell.reasons));
                continue;
            }
            let mut readings = readings.lock().expect("no test panics with it");
            readings.sort_by_key(|reading| reading.account.monotonic_ns); // an answer that was late stands last
            let trial = &cell.trials[0];
            let Some((first, last)) = readings.first().zip(readings.last()) else {
                // The busy service did not answer in time.
                assert_eq!(trial.figures.server.cpu_us_per_request, None, "{what}: a figure without a reading");
                println!("{what}: no reading: {:?}", trial.missing);
                continue;
            };
            let told = Duration::from_nanos(last.account.cpu_ns - first.account.cpu_ns).as_secs_f64();
            // What the group used between the readings of the account lies between these.
            let least = last.before.saturating_sub(first.after).as_secs_f64();
            let most = last.after.saturating_sub(first.before).as_secs_f64();
            let source = &last.account.cpu_source;
            println!("{what}: {told:.4} s told ({source}), {least:.4} to {most:.4} s in the group's account");
            assert!(told >= least * 0.95 && told <= most * 1.05, "{what}: {told} is not within {least} to {most}");
            match trial.figures.server.cpu_us_per_request {
                // Each reading that the trial may have taken lies between the first and the last one.
                Some(figure) => {
                    let at = |reading: &Reading| {
                        let Served { replies_before, replies_after, .. } = reading.account.served.expect("a model's");
                        (reading.account.cpu_ns as f64, replies_before.midpoint(replies_after) as f64)
                    };
                    let figures: Vec<f64> = readings
                        .iter()
                        .enumerate()
                        .flat_map(|(n, end)| readings[..n].iter().map(move |begin| (at(begin), at(end))))
                        .map(|(begin, end)| (end.0 - begin.0) / (end.1 - begin.1) / 1e3)
                        .collect();
                    let agrees = figures.iter().any(|own| (own / figure - 1.0).abs() < 0.001);
                    assert!(agrees, "{what}: {figure} µs is none of {figures:?}");
                    compared += 1;
                }
                None => println!("{what}: no figure: {:?}", trial.missing),
            }
            let used = trial.figures.server.cpus_used.unwrap_or(0.0);
            assert!(used <= 1.02, "{what}: used {used} of one CPU");
        }
    }
    if compared == 0 {
        skipped("the machine is so busy that each figure is null");
    }
}
