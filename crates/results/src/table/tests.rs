use super::*;
use crate::background::BackgroundLoad;
use crate::outcomes::OutcomeClass;
use crate::schema::tests::results;
use crate::schema::{Bound, Flaw, Ranks, Target};
use crate::statistics::Figure;

fn printed(results: &Results, width: Option<usize>) -> String {
    let mut out = Vec::new();
    print(results, width, &mut anstream::StripStream::new(&mut out)).unwrap();
    String::from_utf8(out).unwrap()
}

fn once(median: f64) -> Option<Figure> {
    Some(Figure { median, low: None, high: None })
}

fn about(median: f64) -> Option<Figure> {
    Some(Figure { median, low: Some(median * 0.97), high: Some(median * 1.05) })
}

fn flaw(verdict: Verdict, bound: Option<Bound>) -> Flaw {
    Flaw { verdict, why: "why".into(), bound }
}

#[test]
fn the_table_is_aligned_and_lists_the_reasons() {
    let mut results = results(&["process-per-connection", "uring"]);
    let cells = &mut results.cells;
    cells[0].figures.throughput = once(12_345.6);
    cells[0].figures.latency_us.p50 = once(87.25);
    cells[0].figures.latency_us.p90 = once(1_234.0);
    cells[0].figures.server.processes = once(65.0);
    cells[0].figures.server.threads = once(65.0);
    cells[1].verdict = Verdict::Unsupported;
    cells[1].reasons.push("not permitted here".into());
    let expected = "\
/ · 64 connections · keep-alive · closed loop
target                   req/s     p50         p99  proc/thr  verdict
process-per-connection  12,346  87.2µs  p90 1.23ms     65/65  valid
uring                        -       -           -         -  unsupported
  uring: not permitted here

p90: nine of ten answers were as fast; proc/thr: processes/threads
";
    assert_eq!(printed(&results, None), expected);
}

/// A table with all forms of figures.
fn forms() -> Results {
    let mut results = results(&["process-per-connection", "thread-pool", "epoll"]);
    let given = [("workers".to_owned(), "16".to_owned())].into();
    results.targets.insert("thread-pool".into(), Target { given, ..Target::default() });
    for (cell, (cpu, rank)) in results.cells.iter_mut().zip([(51.78, Some(2)), (11.78, None), (7.16, Some(1))]) {
        cell.figures.server.cpu_us_per_request = about(cpu);
        cell.figures.throughput = once(26_000.0);
        cell.figures.latency_us.p50 = once(900.0);
        cell.figures.latency_us.p99 = once(1_200.0);
        cell.figures.latency_us.p999 = once(1_300.0);
        cell.figures.server.user_memory_bytes_per_connection = once(59.0 * 1024.0);
        (cell.figures.server.processes, cell.figures.server.threads) = (once(64.0), once(65.0));
        cell.ranks = Ranks { cpu: rank, ..Ranks::default() };
    }
    let limited = |bound| flaw(Verdict::ClientLimited, Some(bound));
    let epoll = &mut results.cells[2];
    epoll.verdict = Verdict::ClientLimited;
    epoll.flaws.insert("throughput".into(), limited(Bound::Lower));
    epoll.flaws.insert("latency_us".into(), limited(Bound::Upper));
    epoll.reasons.push("why".into());
    let pool = &mut results.cells[1];
    pool.verdict = Verdict::Disturbed;
    let disturbed =
        Flaw { why: "other programs used 7 % of the target's CPUs".into(), ..flaw(Verdict::Disturbed, None) };
    pool.reasons.push(disturbed.why.clone());
    pool.flaws.insert("server.cpu_us_per_request".into(), disturbed);
    results
}

#[test]
fn rows_are_sorted_and_bounds_and_flaws_are_shown_and_explained() {
    let expected = "\
/ · 64 connections · keep-alive · closed loop
target                  rank  CPU µs/r    interval     req/s      p50       p99     p99.9  mem/conn  proc/thr  verdict
epoll                      1      7.16  6.95..7.52  >=26,000  <=900µs  <=1.20ms  <=1.30ms   59.0K+?     64/65  client-limited
process-per-connection     2      51.8  50.2..54.4    26,000    900µs    1.20ms    1.30ms   59.0K+?     64/65  valid
thread-pool                -     !11.8  11.4..12.4    26,000    900µs    1.20ms    1.30ms   59.0K+?     64/65  disturbed
  epoll: why
  thread-pool: other programs used 7 % of the target's CPUs

thread-pool ran with --workers=16
rows: by CPU µs/r, the best first; rank: 1 + the targets that are better beyond noise, over all pairs at once: it takes a larger difference than an interval in the answers; CPU µs/r: the server's CPU time a request; mem/conn: user + kernel memory (?: not known); proc/thr: processes/threads; >= at least, <= at most, ! not to be compared
";
    assert_eq!(printed(&forms(), None), expected);
}

#[test]
fn a_table_fits_the_terminal_and_names_the_columns_that_it_leaves_out() {
    let at_80 = "\
/ · 64 connections · keep-alive · closed loop
target                  CPU µs/r    interval     req/s       p99  verdict
epoll                       7.16  6.95..7.52  >=26,000  <=1.20ms  client-limited
process-per-connection      51.8  50.2..54.4    26,000    1.20ms  valid
thread-pool                !11.8  11.4..12.4    26,000    1.20ms  disturbed
  left out for want of width: rank, p50, p99.9, mem/conn, proc/thr
  epoll: why
  thread-pool: other programs used 7 % of the target's CPUs

thread-pool ran with --workers=16
rows: by CPU µs/r, the best first; CPU µs/r: the server's CPU time a request; >=
  at least, <= at most, ! not to be compared; left-out columns: show FILE | less
  -S
";
    assert_eq!(printed(&forms(), Some(80)), at_80);
    let at_100 = printed(&forms(), Some(100));
    assert!(
        at_100.contains("\nepoll                      1      7.16  6.95..7.52  >=26,000  <=900µs  <=1.20ms  client"),
        "{at_100}"
    );
    assert!(at_100.contains("for want of width: p99.9, mem/conn, proc/thr\n"), "{at_100}");
    let at_20 = printed(&forms(), Some(20));
    assert!(at_20.contains("\nepoll                   client-limited\n"), "{at_20}");
}

#[test]
fn the_memory_of_many_connections_has_an_interval_and_the_head_names_the_background() {
    let mut results = results(&["epoll"]);
    let cell = &mut results.cells[0];
    cell.key.load.schedule = Schedule::Rate(500.0);
    cell.key.load.background = BackgroundLoad { idle: 1_000, ..BackgroundLoad::default() };
    cell.figures.throughput = once(450.0);
    cell.figures.pace.achieved_share = once(0.9);
    cell.flaws.insert("throughput".into(), flaw(Verdict::Unstable, None));
    cell.figures.latency_us.p90 = once(313.0);
    let server = &mut cell.figures.server;
    server.cpu_us_per_request = about(40.0);
    server.user_memory_bytes_per_connection = once(700.0);
    server.kernel_memory_bytes_per_connection = once(3_584.0);
    server.memory_bytes_per_connection = about(4_284.0);
    cell.ranks.memory = Some(2);
    let expected = "\
/ · 64 connections · keep-alive · 500 requests/s · beside 1000 idle connections
target  CPU µs/r    interval  req/s  achieved        p99  mem rank    mem/conn      interval  verdict
epoll       40.0  38.8..42.0   !450    90.0 %  p90 313µs         2  700B+3.50K  4.06K..4.39K  valid
";
    let text = printed(&results, None);
    assert!(text.starts_with(expected), "{text}");
    let text = printed(&results, Some(80));
    let expected = "\
target  CPU µs/r    interval  mem rank    mem/conn      interval  verdict
epoll       40.0  38.8..42.0         2  700B+3.50K  4.06K..4.39K  valid
  left out for want of width: req/s, achieved, p99
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn beside_busy_clients_rows_are_compared_by_a_high_percentile() {
    let mut results = results(&["loop", "threads"]);
    for (cell, p90) in results.cells.iter_mut().zip([90_000.0, 1_000.0]) {
        cell.key.load.schedule = Schedule::Rate(200.0);
        cell.key.load.background =
            BackgroundLoad { busy: 2, busy_workload: Some("/work/9".into()), ..BackgroundLoad::default() };
        cell.figures.server.cpu_us_per_request = about(4_000.0);
        cell.figures.latency_us.p90 = about(p90);
        cell.figures.latency_us.p99 = once(p90 * 2.0).filter(|_| p90 < 2_000.0);
    }
    let expected = "\
/ · 64 connections · keep-alive · 200 requests/s · beside 2 clients of /work/9
target   CPU µs/r         p99        interval  verdict
threads      4000  p90 1.00ms   970µs..1.05ms  valid
loop         4000  p90 90.0ms  87.3ms..94.5ms  valid

rows: by p90, the best first; CPU µs/r: the server's CPU time a request, beside busy clients theirs, too; p90: nine of ten answers were as fast
";
    assert_eq!(printed(&results, None), expected);
}

#[test]
fn without_cpu_time_the_rows_are_compared_by_another_figure_and_failures_have_a_column() {
    let mut results = results(&["a"]);
    let cell = &mut results.cells[0];
    cell.key.load.schedule = Schedule::Rate(500.0);
    cell.figures.throughput = Figure::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    cell.figures.latency_us.p50 = once(100.0);
    cell.outcomes[OutcomeClass::Reset] = 7;
    results.settings.arrivals = Arrivals::Poisson;
    let text = printed(&results, None);
    assert!(text.contains("500 requests/s, Poisson arrivals\n"), "{text}");
    assert!(text.contains("target  req/s  interval    p50  errors  verdict\n"), "{text}");
}

#[test]
fn what_is_said_of_several_targets_is_one_line() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut results = results(&names);
    for (number, cell) in results.cells.iter_mut().enumerate() {
        cell.figures.server.cpu_us_per_request = once(number as f64 + 1.0);
        cell.reasons.push(format!("{} of 64 connections were slow", 10 + number));
        if number > 0 {
            cell.reasons.push("it was late".into());
            let late = Flaw { why: "it was late".into(), ..flaw(Verdict::Unstable, None) };
            cell.flaws.insert("latency_us".into(), late);
        }
    }
    results.cells[0].figures.server.cpu_us_per_request = None;
    results.cells[0].missing.insert("server".into(), "nothing was counted".into());
    for remark in ["one", "two", "three", "four", "five"] {
        results.cells[1].reasons.push(remark.into());
    }
    let text = printed(&results, None);
    let expected = "
  a: no CPU µs/r: nothing was counted
  b, c, d and 2 more: it was late
  all 6 targets: 10 to 15 of 64 connections were slow
  b: one
  b: two
  b: three
  and 2 more remarks: results.json has them, in the reasons of the cells
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_copy_of_a_target_has_no_row_and_a_line_only_if_it_failed() {
    let mut results = results(&["a", &aa_name("a")]);
    results.cells[1].reasons.push("it was gone".into());
    let without = printed(&results, None);
    assert!(without.contains("\na") && !without.contains("a again"), "{without}");
    results.cells[1].verdict = Verdict::Errors;
    assert!(printed(&results, None).contains("\n  a again: it was gone\n"));
}

#[test]
fn a_row_whose_compared_figure_is_not_valid_is_grey() {
    let mut out = Vec::new();
    print(&forms(), None, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let is_grey = |target: &str| text.lines().any(|line| line.starts_with(&format!("\x1b[2m{target}")));
    assert!(is_grey("thread-pool"), "{text}");
    assert!(
        !is_grey("epoll") && !is_grey("process-per-connection"),
        "a limited throughput leaves the CPU time: {text}"
    );
}

/// A run of two models and four guests.
fn beside_guests() -> Results {
    let mut results = results(&["epoll", "uring", "nginx", "node", "hyper", "mine"]);
    for (guest, fact, value) in [
        ("nginx", "version", "1.22.1"),
        ("node", "version", "18.19.0"),
        ("hyper", "command", "{self} hyper {listen}"),
        ("mine", "command", "./server {port}"),
    ] {
        let facts = [(fact.to_owned(), value.to_owned())].into();
        results.targets.insert(guest.into(), Target { facts, is_guest: true, ..Target::default() });
    }
    results.cells.iter_mut().for_each(|cell| cell.figures.throughput = once(1_000.0));
    results
}

/// Lets these targets lack a workload.
fn let_lack(results: &mut Results, targets: &[(&str, &str, u16)]) {
    for (target, workload, status) in targets {
        let cell = results.cells.iter_mut().find(|cell| cell.key.target == *target).unwrap();
        *cell = Cell::new(cell.key.clone());
        (cell.verdict, cell.reasons) = (Verdict::Unsupported, vec![crate::lacks::why(workload, *status)]);
    }
}

#[test]
fn guests_have_a_mark_and_their_versions_are_named_once() {
    let expected = "\
/ · 64 connections · keep-alive · closed loop
target   req/s  verdict
epoll    1,000  valid
uring    1,000  valid
nginx *  1,000  valid
node *   1,000  valid
hyper *  1,000  valid
mine *   1,000  valid

* servers of others: nginx 1.22.1, node 18.19.0, hyper, mine (./server {port})
";
    assert_eq!(printed(&beside_guests(), None), expected);

    let mut twice = beside_guests();
    twice.settings.targets = vec!["nginx".into(), aa_name("nginx")];
    twice.targets.insert(aa_name("nginx"), twice.targets["nginx"].clone());
    assert!(printed(&twice, None).contains("\n* a server of others: nginx 1.22.1\n"));
}

#[test]
fn targets_that_do_not_have_the_workload_are_one_line() {
    let mut some = beside_guests();
    let lacking = [("nginx", "/sleep/100", 404), ("node", "/sleep/100", 501), ("mine", "/work/9", 405)];
    let_lack(&mut some, &lacking);
    let expected = "\
/ · 64 connections · keep-alive · closed loop
target   req/s  verdict
epoll    1,000  valid
uring    1,000  valid
hyper *  1,000  valid
  nginx and node (status 501) do not have /sleep/100
  mine (status 405) does not have /work/9

";
    assert!(printed(&some, None).starts_with(expected), "{}", printed(&some, None));

    let mut all = beside_guests();
    all.cells.retain(|cell| ["nginx", "node"].contains(&&*cell.key.target));
    let_lack(&mut all, &[("nginx", "/sleep/100", 404), ("node", "/sleep/100", 404)]);
    let text = printed(&all, None);
    assert!(
        text.contains("\nnode *   unsupported\n  nginx, node: it does not have /sleep/100: it answers 404\n"),
        "{text}"
    );
}

#[test]
fn an_answer_that_differs_is_told_below_the_table() {
    let mut results = beside_guests();
    for cell in &mut results.cells {
        let bytes = Some(if cell.key.target == "mine" { 612 } else { 12 });
        let answer = Some(crate::AnswerSeen { bytes, hash: None });
        cell.trials.push(crate::Trial { answer, ..crate::schema::tests::empty_trial() });
    }
    let text = printed(&results, None);
    assert!(text.contains("\n  mine answers with 612 bytes, the others with 12\n"), "{text}");
}
