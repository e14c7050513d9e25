//! Which paths carry: the smallest set that uses every link (design, section 5, alternates).
//!
//! Local and remote links are the two sides of a bipartite graph, and each path is an edge. A smallest
//! edge cover is a largest matching and one edge for each link that it leaves out: max(m, n) paths
//! between m and n links when every pair works. Edges are taken in the order given, the best first.

use std::collections::BTreeSet;

/// A path as an edge between two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge<R> {
    /// The link at our end.
    pub local: u32,
    /// The link at the other end.
    pub remote: R,
}

/// The places of the edges that carry, ascending.
pub(super) fn cover<R: Copy + Ord>(edges: &[Edge<R>]) -> BTreeSet<usize> {
    let mut matching: BTreeSet<usize> = BTreeSet::new();
    for (place, edge) in edges.iter().enumerate() {
        let mut taken = matching.iter().filter_map(|at| edges.get(*at));
        if taken.all(|other| other.local != edge.local && other.remote != edge.remote) {
            matching.insert(place);
        }
    }
    // Only where that leaves links out do good edges give way.
    for start in 0..edges.len() {
        augment(edges, &mut matching, start);
    }
    let mut chosen = matching;
    for (place, edge) in edges.iter().enumerate() {
        let covered = |same: &dyn Fn(&Edge<R>) -> bool| {
            chosen.iter().filter_map(|at| edges.get(*at)).any(same)
        };
        let local = covered(&|other| other.local == edge.local);
        let remote = covered(&|other| other.remote == edge.remote);
        if !local || !remote {
            chosen.insert(place);
        }
    }
    chosen
}

/// Grows the matching by the edge at `start` if both its ends can be had (Kuhn's algorithm).
fn augment<R: Copy + Ord>(edges: &[Edge<R>], matching: &mut BTreeSet<usize>, start: usize) {
    let Some(edge) = edges.get(start) else {
        return;
    };
    let matched = |matching: &BTreeSet<usize>, same: &dyn Fn(&Edge<R>) -> bool| {
        let mut all = matching.iter().copied();
        all.find(|at| edges.get(*at).is_some_and(same))
    };
    if matched(matching, &|other| other.local == edge.local).is_some() {
        return;
    }
    let mut visited = BTreeSet::new();
    let mut trial = matching.clone();
    if displace(edges, &mut trial, start, &mut visited) {
        *matching = trial;
    }
}

/// Puts the edge at `place` into the matching, moving the one at its remote link elsewhere.
fn displace<R: Copy + Ord>(
    edges: &[Edge<R>],
    matching: &mut BTreeSet<usize>,
    place: usize,
    visited: &mut BTreeSet<R>,
) -> bool {
    let Some(edge) = edges.get(place) else {
        return false;
    };
    if !visited.insert(edge.remote) {
        return false;
    }
    let holder = matching.iter().copied().find(|at| {
        edges
            .get(*at)
            .is_some_and(|other| other.remote == edge.remote)
    });
    let Some(holder) = holder else {
        matching.insert(place);
        return true;
    };
    matching.remove(&holder);
    let local = edges.get(holder).map(|other| other.local);
    let elsewhere = (0..edges.len()).any(|other| {
        other != holder
            && edges.get(other).map(|edge| edge.local) == local
            && displace(edges, matching, other, visited)
    });
    matching.insert(if elsewhere { place } else { holder });
    elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(list: &[(u32, u32)]) -> Vec<Edge<u32>> {
        let edge = |&(local, remote)| Edge { local, remote };
        list.iter().map(edge).collect()
    }

    fn chosen(list: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let cover = cover(&edges(list));
        cover.into_iter().map(|place| list[place]).collect()
    }

    /// The size of the smallest cover, by trying all subsets.
    fn smallest(list: &[(u32, u32)]) -> usize {
        let covers = |set: usize| {
            let within = |(place, _): &(usize, &(u32, u32))| set >> place & 1 == 1;
            list.iter().all(|(local, remote)| {
                let mut some = list.iter().enumerate().filter(within);
                let mut other = list.iter().enumerate().filter(within);
                some.any(|(_, edge)| edge.0 == *local) && other.any(|(_, edge)| edge.1 == *remote)
            })
        };
        let sets = (0..1_usize << list.len()).filter(|set| covers(*set));
        sets.map(|set| set.count_ones() as usize).min().unwrap()
    }

    #[test]
    fn one_link_against_two_uses_both_pairs() {
        assert_eq!(chosen(&[(1, 7), (1, 8)]), [(1, 7), (1, 8)]);
    }

    #[test]
    fn two_links_against_two_use_two_pairs_the_best_first() {
        assert_eq!(chosen(&[(1, 8), (1, 7), (2, 8), (2, 7)]), [(1, 8), (2, 7)]);
    }

    #[test]
    fn two_families_on_one_link_are_alternates() {
        assert_eq!(cover(&edges(&[(1, 7), (1, 7)])), BTreeSet::from([0]));
    }

    #[test]
    fn the_best_pair_gives_way_where_it_would_cost_a_third_path() {
        assert_eq!(chosen(&[(1, 7), (1, 8), (2, 7)]), [(1, 8), (2, 7)]);
    }

    #[test]
    fn every_graph_gets_a_smallest_cover() {
        let all: Vec<(u32, u32)> = (0..9).map(|n| (n / 3, n % 3)).collect();
        for set in 1..1_usize << all.len() {
            let within = |place: &usize| set >> place & 1 == 1;
            let list: Vec<_> = (0..all.len()).filter(within).map(|n| all[n]).collect();
            let chosen = chosen(&list);
            assert_eq!(chosen.len(), smallest(&list), "{list:?}: {chosen:?}");
            for (local, remote) in &list {
                assert!(chosen.iter().any(|edge| edge.0 == *local), "{list:?}");
                assert!(chosen.iter().any(|edge| edge.1 == *remote), "{list:?}");
            }
        }
    }
}
