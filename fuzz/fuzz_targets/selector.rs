//! `minik_apiserver::fuzzing::selector` says what the bytes are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| minik_apiserver::fuzzing::selector(data));
