//! Which groups change together: those of the old and the new configuration that have a pool's name or an address in common.

use std::collections::HashMap;

/// What groups may have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mark<'a> {
    /// The name of a pool.
    Pool(&'a str),
    /// An address that a pool listens on.
    Address(&'a str),
}

/// Sorts nodes, given by their marks, into sets. Nodes with a common mark are in one set. Sets and their members keep the order of
/// the nodes.
pub(super) fn components<'a>(nodes: impl Iterator<Item = impl Iterator<Item = Mark<'a>>>) -> Vec<Vec<usize>> {
    let mut parents: Vec<usize> = Vec::new();
    let mut first_with: HashMap<Mark<'a>, usize> = HashMap::new();
    for (node, marks) in nodes.enumerate() {
        parents.push(node);
        for mark in marks {
            let other = *first_with.entry(mark).or_insert(node);
            let (a, b) = (root(&mut parents, node), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let mut sets: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    for node in 0..parents.len() {
        let root = root(&mut parents, node);
        sets[root].push(node);
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// The root is the first node of its set.
fn root(parents: &mut [usize], mut node: usize) -> usize {
    while parents[node] != node {
        parents[node] = parents[parents[node]];
        node = parents[node];
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_a_mark_directly_or_by_others_is_together() {
        let nodes = [
            vec![Mark::Pool("a"), Mark::Address("/a")],
            vec![Mark::Pool("b"), Mark::Address("/b")],
            vec![Mark::Pool("c"), Mark::Address("/b"), Mark::Address("/c")],
            vec![Mark::Pool("/a")],
            vec![],
            vec![Mark::Pool("d"), Mark::Pool("c")],
        ];
        let sets = components(nodes.iter().map(|marks| marks.iter().copied()));
        assert_eq!(sets, [vec![0], vec![1, 2, 5], vec![3], vec![4]]);
    }
}
