#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rohrpost_tests::fuzz::non_intermediary_certificates(data));
