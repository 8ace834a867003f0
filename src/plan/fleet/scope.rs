//! What a reload renews, and how requests that come one after the other are joined.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The part of the configuration that a reload applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// Everything, changed or not: SIGUSR2 and `php-fpm reload`.
    #[default]
    All,
    /// The groups that would run with something else than they do: `php-fpm reload --changed`.
    Changed,
    /// The groups with these names, and those that have a pool with one of these names: `php-fpm reload POOL…`.
    Pools(BTreeSet<String>),
    /// Both: requests for `Changed` and for `Pools` that one reload answers.
    ChangedAnd(BTreeSet<String>),
}

impl Scope {
    /// Whether a reload with this scope renews a group. `changed`: the group would run with something else than it does; it is asked
    /// only where that matters.
    #[must_use]
    pub(crate) fn covers<'a>(
        &self,
        group: &str,
        mut pools: impl Iterator<Item = &'a str>,
        changed: impl FnOnce() -> bool,
    ) -> bool {
        let mut named = |names: &BTreeSet<String>| names.contains(group) || pools.any(|pool| names.contains(pool));
        match self {
            Self::All => true,
            Self::Changed => changed(),
            Self::Pools(names) => named(names),
            Self::ChangedAnd(names) => named(names) || changed(),
        }
    }

    /// The scope of one reload that answers both requests.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let (changed, names) = match (self.parts(), other.parts()) {
            (Some((changed, mut names)), Some((also, more))) => {
                names.extend(more);
                (changed || also, names)
            }
            _ => return Self::All,
        };
        match (changed, names.is_empty()) {
            (true, true) => Self::Changed,
            (true, false) => Self::ChangedAnd(names),
            (false, _) => Self::Pools(names),
        }
    }

    /// Whether it matters which groups have changed.
    #[must_use]
    pub(crate) fn asks_for_changes(&self) -> bool {
        matches!(self, Self::Changed | Self::ChangedAnd(_))
    }

    /// The names that it gives.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::All | Self::Changed => None,
            Self::Pools(names) | Self::ChangedAnd(names) => Some(names),
        };
        names.into_iter().flatten().map(String::as_str)
    }

    /// Whether changed groups are renewed, and the names; `None`: everything.
    fn parts(self) -> Option<(bool, BTreeSet<String>)> {
        match self {
            Self::All => None,
            Self::Changed => Some((true, BTreeSet::new())),
            Self::Pools(names) => Some((false, names)),
            Self::ChangedAnd(names) => Some((true, names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools(names: &[&str]) -> Scope {
        Scope::Pools(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn requests_are_joined() {
        let both = Scope::ChangedAnd(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert_eq!(pools(&["a"]).and(pools(&["b", "a"])), pools(&["a", "b"]));
        assert_eq!(pools(&["a"]).and(Scope::Changed).and(pools(&["b"])), both);
        assert_eq!(Scope::Changed.and(Scope::Changed), Scope::Changed);
        for other in [Scope::All, Scope::Changed, pools(&["a"]), both] {
            assert_eq!((Scope::All.and(other.clone()), other.and(Scope::All)), (Scope::All, Scope::All));
        }
    }

    #[test]
    fn a_group_is_covered_by_its_name_by_a_pool_or_by_a_change() {
        let covered = |scope: &Scope, changed| scope.covers("shops", ["a", "b"].into_iter(), || changed);
        for name in ["shops", "a", "b"] {
            assert!(covered(&pools(&[name]), false), "{name}");
        }
        assert!(!covered(&pools(&["c"]), true) && covered(&pools(&["c"]).and(Scope::Changed), true));
        assert!(covered(&Scope::All, false) && covered(&Scope::Changed, true) && !covered(&Scope::Changed, false));
        assert_eq!(pools(&["c"]).and(Scope::Changed).names().collect::<Vec<_>>(), ["c"]);
    }
}
