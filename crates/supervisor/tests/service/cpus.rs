//! Tests of the CPUs that the model and the supervisor may use.

use cpu_list::CpuList;
use nix::unistd::Pid;

use crate::running::{RunningService, command, get, start};

crate::tests![
    a_service_runs_on_the_cpus_that_it_is_given,
    the_supervisor_may_run_on_other_cpus_than_the_model,
    a_cpu_that_is_missing_is_named_and_another_one_used,
];

fn cpus(of: Pid) -> String {
    CpuList::of(of).unwrap().to_string()
}

/// A model takes its CPUs before it serves, which on a busy machine is a while after the supervisor listens.
fn cpus_of_model(service: &RunningService) -> String {
    get(service.listen, "/").unwrap();
    cpus(service.model().unwrap())
}

/// The first CPU that this process may use, and the last one. On a machine with one CPU they are the same.
fn first_and_last() -> (String, String) {
    let allowed = CpuList::allowed().unwrap();
    (allowed.cpus()[0].to_string(), allowed.cpus().last().unwrap().to_string())
}

fn a_service_runs_on_the_cpus_that_it_is_given() {
    let (first, _) = first_and_last();
    let service = start("plain", &["--cpus", &first]);
    assert_eq!(service.metric("server_cpus"), Some(1.0));
    assert_eq!(service.info()["threads"], 1);
    assert_eq!((cpus_of_model(&service), cpus(service.pid())), (first.clone(), first));
}

fn the_supervisor_may_run_on_other_cpus_than_the_model() {
    let (first, last) = first_and_last();
    let all = CpuList::allowed().unwrap();
    let service = start("plain", &["--cpus", &first, "--supervisor-cpus", &last]);
    for _ in 0..2 {
        assert_eq!((cpus_of_model(&service), cpus(service.pid())), (first.clone(), last.clone()));
        assert_eq!((service.metric("server_cpus"), &service.info()["threads"]), (Some(1.0), &1.into()));
        assert_eq!(service.info()["cpus"], serde_json::json!([first.parse::<usize>().unwrap()]));
        assert_eq!(service.account().cpus, [first.parse::<usize>().unwrap()]);
        service.kill_model();
    }
    let service = start("plain", &["--supervisor-cpus", &last]);
    assert_eq!((cpus_of_model(&service), cpus(service.pid())), (all.to_string(), last));
    assert_eq!(service.info()["threads"], all.cpus().len());
}

fn a_cpu_that_is_missing_is_named_and_another_one_used() {
    let all = CpuList::allowed().unwrap().to_string();
    let line = format!("there is no CPU 1023 here to use: CPU {all} instead");
    let mut child = command("plain", &["--cpus", "1023", "--supervisor-cpus", "1023"]).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    while !output.contains("listening on") {
        assert!(std::io::BufRead::read_line(&mut stderr, &mut output).unwrap() > 0, "it did not start: {output}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    for flag in ["--cpus", "--supervisor-cpus"] {
        assert!(output.contains(&format!("plain: {flag}: {line}\n")), "{output}");
    }
}
