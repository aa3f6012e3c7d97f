//! Any model as a service that ends with the thread that started it: `serve-model MODEL [FLAGS]`.

use std::process::ExitCode;

use lab::MODELS;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(model) = MODELS.iter().copied().find(|model| model.name == name) else {
        let names: Vec<_> = MODELS.iter().map(|model| model.name).collect();
        eprintln!("serve-model: no model {name:?}; the models are {}", names.join(", "));
        return ExitCode::from(2);
    };
    if let Err(errno) = set_pdeathsig(Signal::SIGTERM) {
        eprintln!("serve-model: prctl: {errno}");
        return ExitCode::FAILURE;
    }
    supervisor::main_from(model, std::env::args_os().skip(1))
}
