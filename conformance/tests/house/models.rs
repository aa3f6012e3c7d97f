//! The places in which a model must be named. A model is a folder in `services/`.

use std::collections::BTreeMap;

use crate::{Missing, folders, path, text};

/// The headings that every model's README has, in this order.
const README: [&str; 6] =
    ["What one request costs in system calls", "Strong", "Weak", "The traps", "The lecture says", "In the wild"];

macro_rules! names_of {
    ($($module:ident: $model:literal, $kind:ident { $($faults:tt)* })*) => {
        /// The models that the transcripts and the fault tests are run against.
        const TESTED: &[&str] = &[$($model),*];
    };
}

for_each_model!(names_of);

#[test]
fn every_model_is_named_everywhere() {
    let mut missing = Missing::default();
    for model in &folders("services") {
        has_its_files(model, &mut missing);
        is_in_the_lab(model, &mut missing);
        missing.unless(
            TESTED.contains(&&**model),
            "conformance/tests/common/models.rs",
            &format!("{}: \"{model}\", with its kind", module(model)),
        );
        is_in_the_containers(model, &mut missing);
        missing.unless(
            results::answers::MODELS.iter().any(|(name, _)| name == model),
            "crates/results/src/answers/models.rs",
            &format!("(\"{model}\", with its family) in MODELS"),
        );
        missing.unless(
            text("README.md").contains(&format!("\n| [{model}](services/{model}/README.md) | ")),
            "README.md",
            &format!("| [{model}](services/{model}/README.md) | … | in the table of models"),
        );
    }
    missing.report();
}

#[test]
fn answers_are_about_models() {
    let models = folders("services");
    let others =
        results::answers::MODELS.iter().map(|(name, _)| *name).filter(|name| !models.iter().any(|model| model == name));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0], "crates/results/src/answers/models.rs");
}

#[test]
fn every_model_has_ports_of_its_own() {
    let ports = text("docker-compose.ports.yml");
    let mut models_at = BTreeMap::<&str, usize>::new();
    for line in ports.lines().filter(|line| line.trim_start().starts_with("ports:")) {
        let (service, admin) = (between(line, "${SERVICE_PORTS}", ":8080"), between(line, "${ADMIN_PORTS}", ":9080"));
        assert!(service.is_some() && service == admin, "docker-compose.ports.yml: not the same two digits:{line}");
        *models_at.entry(service.unwrap_or_default()).or_default() += 1;
    }
    let twice: Vec<_> = models_at.iter().filter(|(_, models)| **models > 1).map(|(port, _)| port).collect();
    assert!(twice.is_empty(), "docker-compose.ports.yml: several models have the ports {twice:?}");
}

fn module(model: &str) -> String {
    model.replace('-', "_")
}

fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(line.split_once(before)?.1.split_once(after)?.0)
}

fn has_its_files(model: &str, missing: &mut Missing) {
    let folder = format!("services/{model}");
    missing.unless(
        text(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{model}\"\n")),
        &format!("{folder}/Cargo.toml"),
        &format!("name = \"{model}\""),
    );
    missing.unless(
        text(&format!("{folder}/src/lib.rs")).contains("pub const MODEL: Model"),
        &format!("{folder}/src/lib.rs"),
        "pub const MODEL: Model = Model::new(env!(\"CARGO_PKG_NAME\"), serve);",
    );
    missing.unless(
        path(&folder).join("src/main.rs").exists(),
        &format!("{folder}/src/main.rs"),
        &format!("supervisor::main({}::MODEL)", module(model)),
    );

    let readme = text(&format!("{folder}/README.md"));
    let mut rest = Some(&*readme);
    missing.unless(
        readme.starts_with(&format!("# {model}\n")),
        &format!("{folder}/README.md"),
        &format!("# {model}, as its first line"),
    );
    for heading in README {
        let line = format!("\n## {heading}\n");
        let after = rest.and_then(|rest| rest.split_once(&line)).map(|(_, after)| after);
        missing.unless(
            after.is_some(),
            &format!("{folder}/README.md"),
            &format!("a heading `## {heading}`, in the order of the other models"),
        );
        rest = after.or(rest);
    }
}

fn is_in_the_lab(model: &str, missing: &mut Missing) {
    let dependency = format!("\n{model} = {{ path = \"../services/{model}\" }}\n");
    missing.unless(text("lab/Cargo.toml").contains(&dependency), "lab/Cargo.toml", dependency.trim());
    let constant = format!(" {}::MODEL,\n", module(model));
    missing.unless(
        text("lab/src/lib.rs").contains(&constant),
        "lab/src/lib.rs",
        &format!("{}in MODELS", constant.trim_start().replace('\n', " ")),
    );
}

fn is_in_the_containers(model: &str, missing: &mut Missing) {
    let compose = text("docker-compose.yml");
    missing.unless(
        compose.contains(&format!("\n  {model}:\n    <<: *model\n    command: [{model}]\n")),
        "docker-compose.yml",
        &format!("the service {model}: <<: *model, command: [{model}]"),
    );
    let targets = compose.lines().find_map(|line| line.trim_start().strip_prefix("LOADTEST_TARGET: "));
    missing.unless(
        targets.is_some_and(|targets| targets.split(',').any(|target| target == model)),
        "docker-compose.yml",
        &format!("{model} in LOADTEST_TARGET"),
    );
    missing.unless(
        compose.contains(&format!("\n      - {model}\n")),
        "docker-compose.yml",
        &format!("- {model} in depends_on of loadtest"),
    );
    missing.unless(
        text("docker-compose.ports.yml").contains(&format!("\n  {model}:\n    ports: [\"127.0.0.1:${{SERVICE_PORTS}}")),
        "docker-compose.ports.yml",
        &format!("{model}, with the next two ports"),
    );
    missing.unless(
        text("prometheus/prometheus.yml").contains(&format!(" - {model}:9080\n")),
        "prometheus/prometheus.yml",
        &format!("- {model}:9080 in the targets of the job models"),
    );
}
