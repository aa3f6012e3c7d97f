//! More connections than `--max-connections`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::client::{Client, get, request};
use crate::service::{Service, SetOnDrop, start, wait_for};

const CLIENTS: usize = 30;

pub fn connections_wait_for_a_permit(model: &'static str) {
    for limit in [10, 1] {
        let Some(service) = start(model, &["--max-connections", &limit.to_string()]) else { return };
        let pid = service.model_pid().expect("a model");
        let mut waiting: Vec<_> =
            (0..CLIENTS).map(|_| Client::connect(service.listen).expect("a connection")).collect();
        waiting.iter_mut().for_each(|client| client.send(&request("/")).expect("it is open"));
        let mut served: Vec<Client> = Vec::new();
        let mut done = 0;
        while done < CLIENTS {
            let now = limit.min(CLIENTS - done);
            wait_for("all permits to be taken", || {
                assert!(active(&service) <= limit as f64, "{} connections", active(&service));
                for client in waiting.extract_if(.., |client| client.is_readable()) {
                    served.push(client);
                }
                assert!(served.len() <= limit, "{} are served", served.len());
                served.len() == now
            });
            served.iter_mut().for_each(|client| assert_eq!(client.answer().expect("an answer").status, 200));
            if done == 0 {
                let cpu = service.cpu_of_waiting(Duration::from_millis(500));
                println!("{model}: {cpu:?} of CPU in half a second at the limit of {limit}");
                assert!(cpu < Duration::from_millis(150), "it spins at the limit: {cpu:?} in 500 ms");
                assert!(service.metric("http_server_accept_paused_total") > 0.0);
                assert!(!waiting.iter().any(Client::is_readable), "a connection above the limit is served");
            }
            served.clear(); // which returns their permits
            done += now;
        }
        service.is_well(pid);
        let cpu = service.cpu_of_waiting(Duration::from_millis(300));
        assert!(cpu < Duration::from_millis(100), "it spins after the limit: {cpu:?} in 300 ms");
        service.stopped();
    }
}

/// The gauge adds up shards, one after the other, while connections open and close. It may count a connection that has
/// just closed, but not three times in a row.
fn active(service: &Service) -> f64 {
    (0..3).map(|_| service.active()).fold(f64::MAX, f64::min)
}

/// Many connections open and close at once, and two event loops accept them.
pub fn is_never_exceeded(model: &'static str) {
    let Some(service) = start(model, &["--max-connections", "2"]) else { return };
    let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _end = SetOnDrop(&over);
        for _ in 0..12 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    assert_eq!(get(service.listen, "/").expect("an answer").status, 200);
                    answers.fetch_add(1, SeqCst);
                }
            });
        }
        for _ in 0..100 {
            let active = active(&service);
            assert!(active <= 2.0, "{active} connections are open");
        }
    });
    println!("{model}: {} connections of 12 clients shared 2 permits", answers.into_inner());
    service.stopped();
}
