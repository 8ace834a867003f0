//! Properties of everything that /proc may contain; it contains names that users choose. Compiled for the property tests and the fuzz
//! targets only.

use super::mounts;

/// Looks a mount up in a table to which a user has added lines: what was found before is found still.
///
/// # Panics
/// When another mount is found.
pub fn mount_table(lines: &str) {
    const OURS: &str = "29 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw,mode=755\n";
    let _ = mounts::find(lines, 61);
    // Each line has the number of its mount in front, which the kernel gives.
    let others = lines.lines().filter(|line| line.split(' ').next().is_none_or(|id| id.parse() != Ok(29_u64)));
    let others: String = others.flat_map(|line| [line, "\n"]).collect();
    let found = [OURS.to_owned() + &others, others + OURS].map(|table| mounts::find(&table, 29));
    assert!(found[0].is_some() && found[0] == found[1] && found[0] == mounts::find(OURS, 29), "{found:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_a_user_mounts(lines in "([0-9 :/,=-]|fuse|user_id=|\\PC|\n){0,60}") {
            mount_table(&lines);
        }
    }
}
