#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| farad_tests::fuzz::expression::check(data));
