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

/// A file's code without comments, strings and what is `#[cfg(test)]`.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            string_end(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    while let Some(begin) = code.find("#[cfg(test)]") {
        let end = begin + item_end(&code[begin..]);
        code.replace_range(begin..end, "");
    }
    code
}

/// The length of the string that the text begins with.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let is_end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// The length of the item that the text begins with: up to a semicolon, or up to the end of its block.
fn item_end(text: &str) -> usize {
    let mut depth = 0;
    let end = text.char_indices().find(|&(_, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (c == ';' || c == '}') && depth == 0
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths in a file's code, with a path for each name of a list in braces: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let first = code[..at].trim_end_matches(is_name).len();
        // Only at the first name of a path; not in `$crate::a`, nor after a generic's end.
        if !code[..first].ends_with("::") && !code[..first].ends_with('$') && first < at {
            expand(Vec::new(), &code[first..], &mut found);
        }
    }
    found
}

/// Adds the paths that the text begins with, each behind `before`. Returns how long they are.
fn expand(before: Vec<String>, text: &str, found: &mut Vec<Vec<String>>) -> usize {
    if let Some(list) = text.strip_prefix('{') {
        let mut at = 1;
        while !text[at..].starts_with('}') && at < text.len() {
            let skipped = text[at..].find(|c: char| is_name(c) || c == '{' || c == '}').unwrap_or(list.len());
            at += skipped;
            if !text[at..].starts_with('}') {
                at += expand(before.clone(), &text[at..], found).max(1);
            }
        }
        return (at + 1).min(text.len());
    }
    let name = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let mut path = before;
    path.push(text[..name].to_owned());
    match text[name..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| is_name(c) || c == '{' || c == '*') => {
            name + 2
                + if rest.starts_with('*') {
                    path.push("*".into());
                    found.push(path);
                    1
                } else {
                    expand(path, rest, found)
                }
        }
        _ => {
            found.push(path);
            name
        }
    }
}

/// Which files of a crate use which. A method that another file of the same type has is no use.
///
/// # Panics
/// A file takes all names of another one (`use super::*`), so nobody can see what it uses.
fn uses(folder: &Path, files: &[(PathBuf, String)]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<Module> = files.iter().map(|(path, _)| module(folder, path)).collect();
    let mut uses = BTreeMap::new();
    for (path, text) in files {
        let here = module(folder, path);
        if here.last().is_some_and(|last| last == "tests" || last == "coverage") {
            continue;
        }
        let mut used = BTreeSet::new();
        for names in paths(&code(text)) {
            let mut names = names.into_iter().peekable();
            let first = names.peek().cloned().unwrap_or_default();
            let mut there = here.clone();
            match first.as_str() {
                "crate" => there = Vec::new(),
                "self" => {}
                "super" => {
                    while names.next_if(|name| name == "super").is_some() {
                        there.pop();
                    }
                }
                child if modules.contains(&[&here[..], &[child.to_owned()]].concat()) => {}
                _ => continue,
            }
            names.next_if(|name| name == "crate" || name == "self");
            for name in names {
                assert_ne!(name, "*", "{}: name what it uses of {there:?}", path.display());
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
fn circles_are_found_however_they_are_written() {
    let file = |name: &str, text: &str| (PathBuf::from(format!("/c/{name}")), text.to_owned());
    let of = |files: &[(PathBuf, String)]| circle(&uses(Path::new("/c"), files)).is_some();
    let a = || file("a.rs", "use crate::b::{X, Y};\n");
    for (user, is_circle) in [
        ("// crate::a::Z", false),
        ("fn f() { say(\"crate::a::Z\") }", false),
        ("#[cfg(test)]\nmod tests {\n use crate::a::Z;\n}", false),
        ("fn f(z: crate::a::Z) {}", true),
        ("use crate::{c::{P, Q}, a::Z};", true),
        ("fn f() { say(\"http://\"); crate::a::g() }", true),
        ("#[cfg(test)]\nmod tests;\nuse super::a::Z;", true),
    ] {
        let files = [a(), file("b.rs", user), file("c.rs", ""), file("lib.rs", "mod a;\nmod b;\nmod c;\n")];
        assert_eq!(of(&files), is_circle, "{user}");
    }
    assert!(of(&[a(), file("b/mod.rs", "use crate::c;"), file("c.rs", "use super::{a, d};")]));
    for parent in ["mod c;\nuse c::f;", "mod c;\nuse self::c::f;", "fn g() { c::f() }"] {
        assert!(of(&[file("b/mod.rs", parent), file("b/c.rs", "use super::X;")]), "{parent}");
    }
    let grandparent =
        [file("b/mod.rs", "fn g() { c::d::f() }"), file("b/c.rs", ""), file("b/c/d.rs", "use crate::b::X;")];
    assert!(of(&grandparent));
}
