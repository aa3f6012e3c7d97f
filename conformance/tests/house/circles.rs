//! No file uses another one that uses it, be it over others: each file can be read with only those below it in mind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::sources;

/// Where a file stands in its crate: `["engine", "worker"]` is engine/worker.rs, `[]` is lib.rs or main.rs.
type Module = Vec<String>;

fn module(folder: &Path, file: &Path) -> Module {
    let inside = file.strip_prefix(folder).expect("it is in the folder").with_extension("");
    let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// A file's text without its comments and tests.
fn code(text: &str) -> String {
    let tests = ["#[cfg(test)]\nmod tests", "#[cfg(test)]\npub(crate) mod tests"];
    let end = tests.iter().filter_map(|begin| text.find(begin)).min().unwrap_or(text.len());
    let code = &text[..end];
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join(" ")
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths after `crate::` and `super::`: what each is relative to (the number of `super`s, or `None` for the crate),
/// and the names that follow. A list in braces gives a path for each name.
fn paths(code: &str) -> Vec<(Option<usize>, Vec<String>)> {
    let mut paths = Vec::new();
    for (at, word) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        // Of super::super::x, only the first counts; so does no `$crate::x`.
        if code[..at].ends_with("::") || code[..at].ends_with(|c: char| is_name(c) || c == '$') {
            continue;
        }
        let (mut rest, mut from) = (&code[at + word.len()..], (word == "super::").then_some(1));
        while let Some(after) = rest.strip_prefix("super::") {
            (rest, from) = (after, from.map(|supers| supers + 1));
        }
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                for item in list.split(',') {
                    let names: Vec<String> = item.trim().split("::").map(|name| name.trim().to_owned()).collect();
                    paths.push((from, names));
                }
            }
            None => {
                let whole = rest.split(|c: char| !is_name(c) && c != ':').next().unwrap_or_default();
                paths.push((from, whole.split("::").map(str::to_owned).collect()));
            }
        }
    }
    paths
}

/// Which files of a crate use which.
fn uses(folder: &Path, files: &[(PathBuf, String)]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = files.iter().map(|(path, _)| module(folder, path)).collect();
    let mut uses = BTreeMap::new();
    for (path, text) in files {
        let here = module(folder, path);
        if here.last().is_some_and(|last| last == "tests") {
            continue;
        }
        let code = code(text);
        let names_child = |child: &&Module| {
            let name = format!("{}::", child.last().map_or("", String::as_str));
            child.split_last().is_some_and(|(_, parent)| parent == here)
                && code.match_indices(&name).any(|(at, _)| !code[..at].ends_with(|c| is_name(c) || c == ':'))
        };
        let mut used: BTreeSet<Module> = modules.iter().filter(names_child).cloned().collect();
        for (from, names) in paths(&code) {
            let mut there: Module = match from {
                None => Vec::new(),
                Some(supers) => here[..here.len().saturating_sub(supers)].to_vec(),
            };
            for name in names {
                there.push(name);
                if !modules.contains(&there) {
                    there.pop();
                    break;
                }
            }
            used.insert(there);
        }
        used.remove(&here);
        uses.entry(here).or_insert_with(BTreeSet::new).extend(used);
    }
    uses
}

/// A circle of files, if there is one.
fn circle(uses: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<&Module>> {
    let mut left: BTreeSet<&Module> = uses.keys().collect();
    // Takes away, again and again, the files that use none of the others that are left.
    loop {
        let free: Vec<&Module> =
            left.iter().copied().filter(|module| !uses[*module].iter().any(|used| left.contains(used))).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|module| !free.contains(module));
    }
    // Each of the rest uses another one of the rest, so a walk comes back.
    let mut walk = vec![*left.first()?];
    loop {
        let next = uses[walk[walk.len() - 1]].iter().find(|used| left.contains(used))?;
        if let Some(begin) = walk.iter().position(|module| *module == next) {
            walk.drain(..begin);
            return Some(walk);
        }
        walk.push(left.get(next)?);
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for name in ["crates/results/src", "loadtest/src", "lab/src"] {
        let (folder, files) = (crate::path(name), sources(name));
        let uses = uses(&folder, &files);
        assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 1, "{name}: no file uses another one?");
        if let Some(circle) = circle(&uses) {
            let files: Vec<String> = circle.iter().map(|module| format!("{name}/{}", module.join("/"))).collect();
            circles.push(files.join(" -> "));
        }
    }
    assert!(circles.is_empty(), "files use each other in a circle: {circles:#?}");
}

#[test]
fn a_circle_is_found() {
    let file = |name: &str, text: &str| (PathBuf::from(format!("/c/{name}")), text.to_owned());
    let of = |files: &[(PathBuf, String)]| circle(&uses(Path::new("/c"), files)).is_some();
    let a = file("a.rs", "use crate::b::{X, Y};\n");
    assert!(!of(&[a.clone(), file("b.rs", "// crate::a::Z\n"), file("lib.rs", "mod a;\nmod b;\n")]));
    assert!(of(&[a.clone(), file("b.rs", "fn f(z: crate::a::Z) {}\n")]));
    assert!(of(&[a.clone(), file("b/mod.rs", "use crate::c;"), file("c.rs", "use super::{a, d};")]));
    assert!(of(&[file("b/mod.rs", "mod c;\nuse c::f;"), file("b/c.rs", "use super::X;")]));
    assert!(!of(&[a, file("b.rs", "#[cfg(test)]\nmod tests {\n use crate::a::Z;\n}\n")]));
}
