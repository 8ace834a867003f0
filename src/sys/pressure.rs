//! Whether memory is short, by the kernel's pressure stall information (PSI, `/proc/pressure/memory`, Linux 4.20).

/// Memory is short if some program waited for it during this share of the last ten seconds, in percent.
const SHORT: f32 = 10.0;

/// Whether memory is short. False where the kernel does not tell.
#[must_use]
pub fn memory_is_short() -> bool {
    std::fs::read_to_string("/proc/pressure/memory")
        .is_ok_and(|text| some_avg10(&text).is_some_and(|share| share >= SHORT))
}

fn some_avg10(text: &str) -> Option<f32> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_the_last_ten_seconds_is_found() {
        let text =
            "some avg10=12.34 avg60=1.00 avg300=0.50 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(some_avg10(text), Some(12.34));
        assert_eq!(some_avg10(""), None);
    }
}
