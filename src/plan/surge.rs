//! How many workers a generation may have while older generations still drain.

/// Workers that a pool of `size` may have above `size` while one generation follows another: a tenth, at least one.
/// `pm.max_children` is chosen to fit memory, so there must never be two full generations at the same time.
#[must_use]
pub(crate) fn surge(size: u32) -> u32 {
    (size / 10).max(1)
}

/// How many workers the newest generation may have while `others` of older generations are still there. It may always have one,
/// or a reload could never complete.
#[must_use]
pub(crate) fn allowance(size: u32, others: u32) -> u32 {
    (size + surge(size)).saturating_sub(others).clamp(1, size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_it_may_have_all() {
        assert_eq!(allowance(4, 0), 4);
        assert_eq!(allowance(500, 0), 500);
    }

    #[test]
    fn together_they_never_exceed_size_and_surge_but_for_the_one() {
        for size in 1..200 {
            for others in 0..300 {
                let mine = allowance(size, others);
                assert!(mine >= 1 && mine <= size);
                assert!(mine == 1 || mine + others <= size + surge(size));
            }
        }
    }

    #[test]
    fn it_grows_one_for_one_as_the_others_leave() {
        let steps: Vec<u32> = (0..=4).rev().map(|others| allowance(4, others)).collect();
        assert_eq!(steps, [1, 2, 3, 4, 4]);
    }
}
