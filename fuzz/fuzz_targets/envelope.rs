//! See `hostile-input`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile_input::run("envelope", data));
