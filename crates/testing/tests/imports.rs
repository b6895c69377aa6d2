//! Which files of a crate import from which: no large circles anywhere, and in the server nothing
//! that lies higher.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that import each other in a circle can only be understood together.
const LARGEST_CIRCLE: usize = 5;

/// What lies in `crates/server/src`, from the highest to the lowest. A file imports from its own
/// wing and from those below.
const WINGS: [&str; 13] = [
    "serve",
    "routes",
    "openapi",
    "admin",
    "oauth",
    "data",
    "customer",
    "tokens",
    "grants",
    "authorization",
    "http",
    "node",
    "pages",
];

/// A module by the names that lead to it; the crate's root has none.
type Module = Vec<String>;

/// The modules of a crate that have a file of their own, without its unit tests.
struct Crate {
    imports: BTreeMap<Module, Vec<Import>>,
}

/// A path that a file names, from the crate's root, and the name that a `use` gives it in that file.
struct Import {
    path: Vec<String>,
    name: Option<String>,
}

#[test]
fn no_circle_is_large() {
    let mut large = String::new();
    for directory in crates() {
        for circle in Crate::read(&directory.join("src")).circles() {
            if circle.len() > LARGEST_CIRCLE {
                large += &format!("\n{}: {}", directory.display(), names(&circle).join(", "));
            }
        }
    }
    assert!(large.is_empty(), "these import each other, more than {LARGEST_CIRCLE}:{large}");
}

#[test]
fn nothing_in_the_server_imports_from_a_higher_wing() {
    let server = Crate::read(&root().join("crates/server/src"));
    let height = |module: &Module| {
        let wing = module.first()?;
        let depth = WINGS.iter().position(|name| name == wing);
        Some(depth.unwrap_or_else(|| panic!("where does `{wing}` lie? See `WINGS`")))
    };
    let upwards: Vec<String> = server
        .edges()
        .into_iter()
        .filter(|(from, to)| height(from).zip(height(to)).is_some_and(|(from, to)| from > to))
        .map(|(from, to)| format!("{} imports from {}", from.join("::"), to.join("::")))
        .collect();
    assert!(upwards.is_empty(), "from a higher wing:\n{}", upwards.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn crates() -> Vec<PathBuf> {
    let mut crates: Vec<PathBuf> =
        fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    crates.sort();
    crates
}

fn names(modules: &BTreeSet<&Module>) -> Vec<String> {
    modules.iter().map(|module| module.join("::")).collect()
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut files = Vec::new();
        find(src, &mut Vec::new(), &mut files);
        let modules: BTreeSet<Module> = files.iter().map(|(module, _)| module.clone()).collect();
        let imports = files
            .iter()
            .map(|(module, file)| {
                let text = fs::read_to_string(file).unwrap();
                (module.clone(), imports(&without_tests(tokens(&text)), module, &modules))
            })
            .collect();
        Self { imports }
    }

    /// Which file imports from which. What a file says of those below it is no import: it declares
    /// them, and passes on what they have.
    fn edges(&self) -> BTreeSet<(&Module, &Module)> {
        let all = self.imports.iter().flat_map(|(module, imports)| {
            imports.iter().map(move |import| (module, self.file_of(&import.path)))
        });
        all.filter(|(from, to)| !to.starts_with(from)).collect()
    }

    /// The file that has what a path leads to, also where another passes it on.
    fn file_of(&self, path: &[String]) -> &Module {
        let mut path = path.to_vec();
        // Names that are passed on in a circle lead nowhere.
        for _ in 0..10 {
            let depth = (0..=path.len())
                .rev()
                .find(|depth| self.imports.contains_key(&path[..*depth]))
                .unwrap_or_default();
            let (file, imports) = self.imports.get_key_value(&path[..depth]).unwrap();
            let passed_on = path
                .get(depth)
                .and_then(|name| imports.iter().find(|import| import.name.as_ref() == Some(name)));
            let Some(import) = passed_on else { return file };
            path.splice(..=depth, import.path.iter().cloned());
        }
        panic!("{} is passed on in a circle", path.join("::"));
    }

    /// Sets of at least two files from each of which imports lead to each other.
    fn circles(&self) -> BTreeSet<BTreeSet<&Module>> {
        let mut reached: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
        for (from, to) in self.edges() {
            reached.entry(from).or_default().insert(to);
        }
        loop {
            let before: usize = reached.values().map(BTreeSet::len).sum();
            let known = reached.clone();
            for further in reached.values_mut() {
                let next: Vec<&Module> =
                    further.iter().filter_map(|to| known.get(to)).flatten().copied().collect();
                further.extend(next);
            }
            if reached.values().map(BTreeSet::len).sum::<usize>() == before {
                break;
            }
        }
        let reaches = |from: &Module, to: &Module| {
            reached.get(from).is_some_and(|reached| reached.contains(to))
        };
        let circle_of = |module| {
            self.imports
                .keys()
                .filter(|other| reaches(module, other) && reaches(other, module))
                .collect::<BTreeSet<_>>()
        };
        self.imports.keys().map(circle_of).filter(|circle| circle.len() > 1).collect()
    }
}

/// The files below a directory, but those of unit tests.
fn find(directory: &Path, above: &mut Module, files: &mut Vec<(Module, PathBuf)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            above.push(name);
            find(&path, above, files);
            above.pop();
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let mut module = above.clone();
            if !module.is_empty() || !["lib", "main"].contains(&name.as_str()) {
                module.push(name);
            }
            files.push((module, path));
        }
    }
}

/// Names, `::` and single characters; without comments, strings and lifetimes.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(quoted) = rest.strip_prefix('"') {
            1 + end_of_string(quoted)
        } else if let Some(quoted) = rest.strip_prefix('\'') {
            1 + end_of_character(quoted)
        } else if first.is_alphanumeric() || first == '_' {
            let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            match end_of_raw_string(&rest[..name], &rest[name..]) {
                Some(end) => name + end,
                None => {
                    tokens.push(&rest[..name]);
                    name
                }
            }
        } else {
            let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push(&rest[..length]);
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// Where a string ends, counted from behind its first quote.
fn end_of_string(quoted: &str) -> usize {
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return at + 1,
            '\\' => drop(characters.next()),
            _ => {}
        }
    }
    quoted.len()
}

/// Where a character ends, counted from behind its first quote; at once where it is a lifetime.
fn end_of_character(quoted: &str) -> usize {
    let Some(first) = quoted.chars().next() else { return 0 };
    let inner = if first == '\\' { 2 } else { first.len_utf8() };
    match quoted.get(inner..).and_then(|rest| rest.find('\'')) {
        Some(0) => inner + 1,
        Some(more) if first == '\\' => inner + more + 1,
        _ => 0,
    }
}

/// Where a raw string ends, counted from behind its prefix; `None` where this is none.
fn end_of_raw_string(prefix: &str, rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if !["r", "br"].contains(&prefix) || !rest[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", &rest[..hashes]);
    let inner = &rest[hashes + 1..];
    inner.find(&end).map(|at| hashes + 1 + at + end.len())
}

/// The same without modules that are compiled for tests alone.
fn without_tests(tokens: Vec<&str>) -> Vec<&str> {
    let mut left = Vec::new();
    let mut rest = &tokens[..];
    while let Some(first) = rest.first() {
        let is_test = rest.starts_with(&["#", "[", "cfg", "(", "test", ")", "]", "mod"]);
        if is_test && rest.get(9) == Some(&"{") {
            rest = &rest[9 + end_of_braces(&rest[9..])..];
        } else {
            left.push(*first);
            rest = &rest[1..];
        }
    }
    left
}

/// How many tokens there are from an opening brace to the one that closes it.
fn end_of_braces(tokens: &[&str]) -> usize {
    let mut depth = 0;
    let closes = tokens.iter().position(|token| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        depth == 0
    });
    closes.map_or(tokens.len(), |last| last + 1)
}

/// All paths of a file into its own crate, in `use` items and elsewhere.
fn imports(tokens: &[&str], module: &Module, modules: &BTreeSet<Module>) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if *first == "use" {
            let end = rest.iter().position(|token| *token == ";").unwrap_or(rest.len());
            for (path, name) in leaves(&rest[1..end]) {
                if let Some(path) = absolute(&path, module, modules) {
                    imports.push(Import { path, name: Some(name.to_owned()) });
                }
            }
            rest = &rest[end..];
            continue;
        }
        let mut path = vec![*first];
        if ["crate", "super", "self"].contains(first) {
            while let ["::", name, ..] = rest[2 * path.len() - 1..] {
                path.push(name);
            }
            if path.len() > 1
                && let Some(path) = absolute(&path, module, modules)
            {
                imports.push(Import { path, name: None });
            }
        }
        rest = &rest[2 * path.len() - 1..];
    }
    imports
}

/// The paths of a `use` item, each with the name that it gives: `a::{b, c::d as e}` is `a::b`, named
/// `b`, and `a::c::d`, named `e`.
fn leaves<'t>(tree: &[&'t str]) -> Vec<(Vec<&'t str>, &'t str)> {
    if let Some(open) = tree.iter().position(|token| *token == "{") {
        let path = tree[..open].iter().filter(|token| **token != "::");
        let inner = &tree[open + 1..open + end_of_braces(&tree[open..]) - 1];
        return parts(inner)
            .into_iter()
            .flat_map(leaves)
            .map(|(below, name)| (path.clone().copied().chain(below).collect(), name))
            .map(|(path, name)| if name == "self" { itself(path) } else { (path, name) })
            .collect();
    }
    let end = tree.iter().position(|token| *token == "as").unwrap_or(tree.len());
    let path: Vec<&str> = tree[..end].iter().copied().filter(|token| *token != "::").collect();
    tree.last().map(|name| (path, *name)).into_iter().collect()
}

/// `a::b::self` is `a::b`.
fn itself(mut path: Vec<&str>) -> (Vec<&str>, &str) {
    path.pop();
    let name = path.last().copied().unwrap_or_default();
    (path, name)
}

/// What stands between the commas that are in no inner braces.
fn parts<'s, 't>(list: &'s [&'t str]) -> Vec<&'s [&'t str]> {
    let mut depth = 0;
    list.split(|token| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        depth == 0 && *token == ","
    })
    .collect()
}

/// A path from the crate's root; `None` where it leads out of the crate.
fn absolute(path: &[&str], module: &Module, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let mut base = module.clone();
    let mut rest = path;
    if rest.first() == Some(&"crate") {
        base.clear();
        rest = &rest[1..];
    } else if ["self", "super"].contains(rest.first()?) {
        while let Some(up @ (&"self" | &"super")) = rest.first() {
            if *up == "super" {
                base.pop();
            }
            rest = &rest[1..];
        }
    } else {
        let child: Module = base.iter().cloned().chain([(*rest.first()?).to_owned()]).collect();
        if !modules.contains(&child) {
            return None;
        }
    }
    base.extend(rest.iter().map(|name| (*name).to_owned()));
    Some(base)
}
