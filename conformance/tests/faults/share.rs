//! Two loops at one listener.

use std::fs;

use crate::client::Client;
use crate::service::start;

const CONNECTIONS: usize = 64;

/// Each loop gets its share of connections that come one after the other, while both loops are idle.
pub fn two_loops_share_the_connections(model: &'static str) {
    let Some(service) = start(model, &["--threads", "2"]) else { return };
    let pid = service.model_pid().expect("a model");
    let connect = |_| {
        let mut client = Client::connect(service.listen).expect("a connection");
        assert_eq!(client.get("/").expect("an answer").status, 200);
        client
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    // The descriptors that each epoll instance watches: a line `tfd:` each, proc_pid_fdinfo(5).
    let dir = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it lives");
    let infos = dir.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let watched: Vec<_> = infos.map(|info| info.matches("tfd:").count()).filter(|&n| n > 0).collect();
    assert!(watched.len() == 2 && watched.iter().all(|&n| n >= CONNECTIONS / 4), "{watched:?}");
    drop(clients);
    service.stopped();
}
