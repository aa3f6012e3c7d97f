//! Loads that request many paths.

use crate::common::{OK, OK_CLOSE, SingleTarget, request, run, unchecked_server};
use crate::plan;
use results::content::Content;
use results::paths::{PathList, PathOrder};
use results::{BackgroundLoad, Load, Plan};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// The paths that were requested on each connection, in this order.
type Requested = Arc<Mutex<BTreeMap<usize, Vec<String>>>>;

/// A server that keeps the paths that it was asked for.
fn recording() -> (SocketAddr, Requested) {
    let requested = Requested::default();
    let kept = Arc::clone(&requested);
    let address = unchecked_server(move |stream, number| {
        while let Some(request) = request(&stream) {
            let path = request.split(' ').nth(1).unwrap().to_owned();
            kept.lock().unwrap().entry(number).or_default().push(path);
            let closes = request.contains("Connection: close");
            if (&stream).write_all(if closes { OK_CLOSE } else { OK }).is_err() || closes {
                return;
            }
        }
    });
    (address, requested)
}

fn list(order: PathOrder) -> PathList {
    PathList::new((0..7).map(|n| format!("/{n}")).collect(), order)
}

fn plan_of(load: Load, order: PathOrder, seed: u64) -> Plan {
    let content = Content { paths: Some(list(order)), ..Content::default() };
    Plan { loads: vec![load], content: [("@list".into(), content)].into(), seed, ..plan() }
}

/// What one connection has requested after the two that asked for the first and the last path before the load.
fn in_the_load(order: PathOrder, seed: u64) -> Vec<String> {
    let (address, requested) = recording();
    let load = Load { workload: "@list".into(), concurrency: 1, ..Load::default() };
    run(&plan_of(load, order, seed), &mut SingleTarget(address));
    let mut requested = std::mem::take(&mut *requested.lock().unwrap());
    let mut before: Vec<String> = [0, 1].into_iter().flat_map(|number| requested.remove(&number).unwrap()).collect();
    before.sort();
    assert_eq!(before, ["/0", "/6"]);
    assert_eq!(requested.len(), 1, "one connection: {requested:?}");
    requested.remove(&2).unwrap()
}

#[test]
fn each_path_of_a_list_is_requested_before_any_is_requested_again() {
    let requested = in_the_load(PathOrder::InOrder, 1);
    let expected = (0..7).cycle().map(|n| format!("/{n}"));
    assert!(requested.iter().eq(expected.take(requested.len()).collect::<Vec<_>>().iter()), "{requested:?}");
    let shuffled = in_the_load(PathOrder::Shuffled, 1);
    for round in shuffled.chunks_exact(7) {
        assert_eq!(round, &shuffled[..7], "each round has the same order");
        let mut sorted = round.to_vec();
        sorted.sort();
        assert_eq!(sorted, (0..7).map(|n| format!("/{n}")).collect::<Vec<_>>());
    }
    let again = in_the_load(PathOrder::Shuffled, 1);
    let both = shuffled.len().min(again.len());
    assert_eq!(shuffled[..both], again[..both], "the seed decides the order");
}

#[test]
fn busy_clients_request_the_paths_of_a_list_too() {
    let (address, requested) = recording();
    let background = BackgroundLoad { busy: 1, busy_workload: Some("@list".into()), ..BackgroundLoad::default() };
    let load = Load { workload: "/".into(), concurrency: 1, background, ..Load::default() };
    run(&plan_of(load, PathOrder::InOrder, 1), &mut SingleTarget(address));
    let requested = requested.lock().unwrap();
    let of_list: Vec<&String> = requested.values().flatten().filter(|path| *path != "/").collect();
    let expected: Vec<String> = (0..7).cycle().map(|n| format!("/{n}")).take(of_list.len()).collect();
    assert!(of_list.iter().copied().eq(expected.iter()), "{of_list:?}");
    assert!(!of_list.is_empty());
}
