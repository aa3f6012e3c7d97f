//! Answers: how they end, what connections carry, and whether their content is that of the answers before.

use crate::common::{OK, OK_CLOSE, only, request, server, unchecked_server};
use crate::{classes, plan, until};
use results::{AnswerSeen, Load, OutcomeClass, PerConnection, Plan, Verdict};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn each_connection_carries_exactly_n_requests() {
    for limit in [1, 3] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let address = server(move |stream, _| {
            let mut pattern = String::new();
            while let Some(text) = request(&stream) {
                let last = text.contains("Connection: close\r\n");
                pattern.push(if last { 'c' } else { 'k' });
                let answer = if last { OK_CLOSE } else { OK };
                if (&stream).write_all(answer).is_err() || last {
                    break;
                }
            }
            // A connection that the end of the window cuts short shows only part of the pattern.
            if pattern.ends_with('c') {
                log.lock().unwrap().push(pattern);
            }
        });
        let mode = PerConnection(NonZeroU32::new(limit));
        let cell = only(
            &Plan { loads: vec![Load { requests_per_connection: mode, concurrency: 2, ..Load::default() }], ..plan() },
            address,
        );
        assert!(classes(&cell).is_empty(), "{cell:?}");
        let seen = seen.lock().unwrap();
        assert!(!seen.is_empty());
        let expected = "k".repeat(limit as usize - 1) + "c";
        let others: Vec<_> = seen.iter().filter(|pattern| **pattern != expected).collect();
        assert!(others.is_empty() || others == ["c"], "but for the check at the end: {others:?}");
    }
}

#[test]
fn a_connection_that_the_server_closes_between_requests_is_not_an_error() {
    let address = server(|stream, _| {
        for answer in [OK, OK, OK_CLOSE] {
            if request(&stream).is_none() || (&stream).write_all(answer).is_err() {
                return;
            }
        }
    });
    let cell = &until(20, &plan(), address).cells[0];
    assert!(classes(cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 6);
}

#[test]
fn large_chunked_answers_are_read_completely() {
    let address = unchecked_server(|stream, _| {
        let body = vec![b'x'; 3_000_000];
        while request(&stream).is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
            let whole = [head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            if (&stream).write_all(&whole).is_err() {
                return;
            }
        }
    });
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
}

#[test]
fn large_answers_that_end_with_the_connection_are_read_completely() {
    let address = unchecked_server(|stream, _| {
        request(&stream);
        let _ =
            (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").and_then(|()| (&stream).write_all(&vec![b'x'; 8_000_000]));
    });
    let cell = only(&plan(), address);
    assert!(classes(&cell).is_empty(), "{cell:?}");
    assert!(cell.outcomes[OutcomeClass::Ok] > 0);
}

#[test]
fn a_target_that_only_redirects_is_told() {
    let address = server(|stream, _| {
        let answer = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n";
        while request(&stream).is_some() && (&stream).write_all(answer).is_ok() {}
    });
    let cell = &until(20, &plan(), address).cells[0];
    assert_eq!(cell.trials[0].redirections, BTreeMap::from([(301, cell.outcomes[OutcomeClass::Ok])]));
    assert!(cell.reasons.iter().any(|reason| reason.starts_with("all answers redirect (301)")), "{:?}", cell.reasons);
}

/// A server that answers with the wrong content once in a while: each 1000th answer of a connection has one wrong byte.
#[test]
fn one_wrong_byte_in_a_thousand_answers_is_found() {
    let wrong = Arc::new(AtomicUsize::new(0));
    let sent = wrong.clone();
    let address = server(move |stream, _| {
        for n in 1.. {
            if request(&stream).is_none() {
                return;
            }
            let mut answer = OK.to_vec();
            if n % 1000 == 0 {
                *answer.last_mut().unwrap() ^= 1;
                sent.fetch_add(1, Relaxed);
            }
            if (&stream).write_all(&answer).is_err() {
                return;
            }
        }
    });
    let cell = &until(5_000, &plan(), address).cells[0];
    let (found, sent) = (cell.outcomes[OutcomeClass::Content], wrong.load(Relaxed) as u64);
    // The last answer of each connection may have come too late.
    assert!(found >= 2 && (found..=found + 2).contains(&sent), "{found} of {sent}");
    assert_eq!(classes(cell), BTreeMap::from([("content", found)]));
    assert_eq!(cell.trials[0].contents_checked, Some(cell.outcomes.answered()));
    assert_eq!(cell.verdict, Verdict::Errors);
    let told = |words: &str| cell.reasons.iter().any(|reason| reason.contains(words));
    assert!(told("requests ended as content"), "{:?}", cell.reasons);
    assert!(told("ended as content: byte 2 of 2 is 0x68 instead of 0x69"), "{:?}", cell.reasons);
}

/// A server whose answers are good at first; then `later` makes them of the number of requests before.
fn changes(later: fn(usize) -> String) -> SocketAddr {
    let answered = AtomicUsize::new(0);
    server(move |stream, _| {
        while request(&stream).is_some() {
            let answer = match answered.fetch_add(1, Relaxed) {
                0..10 => OK.to_vec(),
                number => {
                    let body = later(number);
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
                }
            };
            if (&stream).write_all(&answer).is_err() {
                return;
            }
        }
    })
}

/// An answer that changes with time is no error: the wrong answers differ from one another, and when the target is asked
/// again at the end, it answers with something else, too.
#[test]
fn answers_that_change_with_time_are_not_compared() {
    let cell = only(&plan(), changes(|number| format!("{:02}", number % 100)));
    assert!(classes(&cell).is_empty() && cell.outcomes[OutcomeClass::Ok] > 0, "{cell:?}");
    assert_eq!((cell.trials.len(), cell.trials[0].contents_checked), (1, None));
    let remark = "the trial was repeated without comparing what varies (the first answer that ended as content: byte ";
    assert!(cell.reasons.iter().any(|reason| reason.contains(remark)), "{:?}", cell.reasons);
}

/// By this, the answers of different targets can be held against each other.
#[test]
fn a_trial_keeps_what_the_target_answers() {
    let counted = AtomicUsize::new(0);
    let address = unchecked_server(move |stream, _| {
        while let Some(text) = request(&stream) {
            let answer = match text.split(' ').collect::<Vec<_>>()[..2] {
                ["HEAD", _] => "200 OK\r\nContent-Length: 2\r\n\r\n".to_owned(),
                [_, "/number"] => {
                    format!("200 OK\r\nContent-Length: 4\r\n\r\n{:04}", counted.fetch_add(1, Relaxed) % 10_000)
                }
                [_, "/missing"] => "404 Not Found\r\nContent-Length: 2\r\n\r\nno".to_owned(),
                _ => "200 OK\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
            };
            if (&stream).write_all(format!("HTTP/1.1 {answer}").as_bytes()).is_err() {
                return;
            }
        }
    });
    let answer = |workload: &str| {
        let load = Load { workload: workload.into(), concurrency: 1, ..Load::default() };
        until(20, &Plan { loads: vec![load], ..plan() }, address).cells.remove(0).trials.remove(0).answer
    };
    let seen = |bytes, hash: Option<&str>| Some(AnswerSeen { bytes, hash: hash.map(str::to_owned) });
    // FNV-1a of "hi".
    assert_eq!(answer("/"), seen(Some(2), Some("08ba5f07b55ec3da")));
    assert_eq!(answer("/number"), seen(Some(4), None), "it varies");
    for without in ["HEAD /", "POST /", "/missing"] {
        assert_eq!(answer(without), None, "{without}");
    }
}

/// A target that the load has spoilt for good gives one wrong answer, again and again, and when it is asked at the end.
#[test]
fn a_target_that_answers_wrongly_from_some_time_on_has_errors() {
    for wrong in [|_| "ho".to_owned(), |_| "hi and more".to_owned(), |_| String::new()] {
        let cell = only(&Plan { duration: Duration::from_millis(700), ..plan() }, changes(wrong));
        assert_eq!(classes(&cell).keys().collect::<Vec<_>>(), [&"content"]);
        assert_eq!(cell.verdict, Verdict::Errors);
        let repeated = cell.reasons.iter().any(|reason| reason.contains("was repeated"));
        assert!(!repeated, "{:?}", cell.reasons);
    }
}
