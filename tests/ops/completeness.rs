//! No public operation is missing from the table, and none in it is invented.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{cases, table};

/// Public functions of the operations' modules that are not operations.
const NOT_OPERATIONS: [(&str, &str); 2] = [
    ("name", "of Unary and Binary: what errors call a function"),
    ("saves", "of Unary: what a gradient needs of the forward pass"),
];

/// Entries for which there is no method.
const NOT_METHODS: [&str; 1] = ["operators"];

/// A public function: its name, and whether it takes anything but a tensor and numbers.
struct Function {
    name: String,
    takes_only_numbers: bool,
}

/// The public functions of every file in `crates/tensor/src/ops`.
fn public_functions() -> Vec<Function> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/tensor/src/ops");
    let files = std::fs::read_dir(folder).unwrap();
    let sources = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    sources.flat_map(|source| functions_of(&source)).collect()
}

fn functions_of(source: &str) -> Vec<Function> {
    source
        .split("pub fn ")
        .skip(1)
        .map(|text| {
            let name = text.split(['(', '<']).next().unwrap().to_owned();
            let arguments = text.split_once('(').unwrap().1.split(')').next().unwrap();
            let mut arguments = arguments.split(',').map(str::trim);
            let takes_only_numbers =
                arguments.all(|argument| argument == "&self" || argument.ends_with(": f64"));
            Function { name, takes_only_numbers }
        })
        .collect()
}

#[test]
fn every_operation_is_in_the_table() {
    let exceptions = NOT_OPERATIONS.map(|(name, _reason)| name);
    let public: BTreeSet<String> = public_functions()
        .into_iter()
        .map(|function| function.name)
        .filter(|name| !exceptions.contains(&name.as_str()))
        .collect();
    let listed: BTreeSet<String> = table()
        .into_iter()
        .map(|entry| entry.method.to_owned())
        .filter(|name| !NOT_METHODS.contains(&name.as_str()))
        .collect();
    assert!(public.len() > 50, "the search for public functions found only {public:?}");
    assert_eq!(public, listed, "public operations (left) and the table (right)");
}

/// Only a function that takes nothing but numbers may accept every call.
#[test]
fn every_operation_that_can_refuse_is_seen_to() {
    let total: BTreeSet<String> = public_functions()
        .into_iter()
        .filter(|function| function.takes_only_numbers)
        .map(|function| function.name)
        .collect();
    for entry in table() {
        let untested = entry.refusals.is_empty() && !total.contains(entry.method);
        assert!(!untested, "{} has no refused call", entry.method);
        assert!(!entry.cases.is_empty(), "{} has no case", entry.method);
    }
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert(case.name), "two cases are called {}", case.name);
    }
}
