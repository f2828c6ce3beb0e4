//! The corpus of the fuzzers, as ordinary tests: what once broke a parser breaks none again.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hostile_input::TARGETS;

#[test]
fn no_parser_breaks_a_promise_over_its_corpus() {
    for target in TARGETS {
        let files = fs::read_dir(corpus().join(target.name)).unwrap();
        let mut read = 0;
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            (target.run)(&fs::read(path).unwrap());
            read += 1;
        }
        assert!(read >= 4, "{} has a corpus", target.name);
    }
}

#[test]
fn every_target_has_its_corpus_and_its_fuzzer() {
    let names = |folder: PathBuf| -> BTreeSet<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    let targets: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(names(corpus()), targets);
    assert_eq!(names(corpus().with_file_name("fuzz_targets")), targets);
    let manifest = fs::read_to_string(corpus().with_file_name("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"")),
            "{target}"
        );
    }
}

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}
