//! The seeds of the fuzzers, and whatever they found, once more.

use std::{fs, path::Path};

use farad_tests::fuzz::CHECKS;

#[test]
fn every_seed_holds() {
    for (target, check) in CHECKS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
        let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
        for seed in seeds {
            println!("{}", seed.display());
            check(&fs::read(&seed).unwrap());
        }
    }
}
