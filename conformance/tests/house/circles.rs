//! No file uses another one that uses it, be it over others: each file can be read with only those below it in mind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

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

/// The paths in a file's code, without what is `#[cfg(test)]`. A list in braces gives a path for each of its names:
/// `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(code: TokenStream, found: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = code.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let is_own = at == 0 || !is_punct(tokens.get(at - 1), '$'); // not `$crate::a` of a macro
        at += match &tokens[at] {
            TokenTree::Punct(_) if is_test(&tokens[at..]) => item(&tokens[at..]),
            TokenTree::Ident(_) if is_own => path(&tokens[at..], &[], found),
            TokenTree::Group(group) => {
                paths(group.stream(), found);
                1
            }
            _ => 1,
        };
    }
}

fn is_punct(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// Whether the tokens begin with `#[cfg(test)]`.
fn is_test(tokens: &[TokenTree]) -> bool {
    let attribute = tokens.get(1).map(|token| token.to_string().replace(' ', ""));
    is_punct(tokens.first(), '#') && attribute.as_deref() == Some("[cfg(test)]")
}

/// How many tokens the item has with which they begin: up to a semicolon, or to its block.
fn item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is_punct(Some(token), ';'),
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

/// Adds the path with which the tokens begin, behind `before`. Returns how many tokens it has.
fn path(tokens: &[TokenTree], before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut names = before.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Group(list)) if list.delimiter() == Delimiter::Brace => {
                let list: Vec<TokenTree> = list.stream().into_iter().collect();
                for entry in list.split(|token| is_punct(Some(token), ',')) {
                    path(entry, &names, found);
                }
                return at + 1;
            }
            Some(name @ TokenTree::Ident(_)) => names.push(name.to_string()),
            star if is_punct(star, '*') => names.push("*".into()),
            _ => break,
        }
        at += 1;
        if !(is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')) {
            break;
        }
        at += 2;
    }
    if names.len() > 1 {
        found.push(names);
    }
    at
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
        if here.iter().any(|name| name == "tests" || name == "coverage") {
            continue;
        }
        let mut used = BTreeSet::new();
        let mut found = Vec::new();
        paths(text.parse().expect("it is Rust"), &mut found);
        for names in found {
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
