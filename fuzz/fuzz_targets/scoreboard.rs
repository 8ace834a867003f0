//! Bytes as shared memory that workers have written: the counters of a pool, then its scoreboard.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    const TOTALS: usize = 21 * 8;
    let (totals, board) = data.split_at(data.len().min(TOTALS));
    cgi_fpm::oracles::scoreboard::pages(board, totals).expect("memory");
});
