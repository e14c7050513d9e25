//! Who carries, and when that is worth changing: [`cover`] over the paths that may, kept unless another
//! set is better by enough (design, section 5, alternates).

use std::time::Duration;

use crate::handoff::{Endpoint, PathHealth};

use super::roles::{Edge, cover};
use super::{Path, Paths, ROLE_GAIN, RemoteLink};

impl Paths {
    /// Decides anew which paths carry. Where one is enough, it is `current`, the address that bare data
    /// takes: of alternates that differ little, each of two rules could otherwise hold on to another.
    pub(in crate::control) fn assign_roles(&mut self, current: Option<Endpoint>) {
        let mut places: Vec<usize> = self.eligible();
        places.sort_by_key(|place| {
            let path = self.all.get(*place);
            path.map(|path| (path.rank(), *place))
        });
        let edges: Vec<Edge<RemoteLink>> = places
            .iter()
            .filter_map(|place| self.all.get(*place))
            .map(|path| Edge {
                local: path.link,
                remote: path.remote_link,
            })
            .collect();
        let fresh: Vec<usize> = cover(&edges)
            .into_iter()
            .filter_map(|at| places.get(at).copied())
            .collect();
        let current = places.iter().copied().find(|place| {
            let path = self.all.get(*place);
            path.is_some_and(|path| Some(path.endpoint) == current)
        });
        let fresh = match current {
            Some(current) if fresh.len() == 1 => vec![current],
            _ if self.keeps_roles(&places, &fresh) => return,
            _ => fresh,
        };
        for (place, path) in self.all.iter_mut().enumerate() {
            path.bulk = fresh.contains(&place);
        }
    }

    /// Paths that may carry: usable ones that are known to take the inner MTU, and no metered one as long
    /// as another does well; else one that is usable; else any that is validated.
    fn eligible(&self) -> Vec<usize> {
        let places = |wanted: &dyn Fn(&Path) -> bool| -> Vec<usize> {
            let all = self.all.iter().enumerate();
            all.filter(|(_, path)| wanted(path))
                .map(|(place, _)| place)
                .collect()
        };
        let fits = |path: &Path| path.is_usable() && path.pmtu.is_confirmed();
        let healthy = |path: &Path| path.probing.health == PathHealth::Healthy;
        let free = |path: &Path| fits(path) && !path.is_metered();
        if self.all.iter().any(|path| free(path) && healthy(path)) {
            return places(&free);
        }
        let fit = places(&fits);
        if !fit.is_empty() {
            return fit;
        }
        // Where no path is known to fit, one alone carries what it can.
        let usable = self.all.iter().enumerate();
        let usable = usable.filter(|(_, path)| path.is_usable());
        let best = usable.min_by_key(|(_, path)| {
            let (unhealthy, narrow, metered, rtt) = path.rank();
            (unhealthy, narrow, metered, !path.bulk, rtt)
        });
        best.map_or_else(
            || places(&|path| path.probing.validated),
            |(place, _)| vec![place],
        )
    }

    /// Whether the paths that carry now cover the same links, as few, and not much slower.
    fn keeps_roles(&self, eligible: &[usize], fresh: &[usize]) -> bool {
        let held: Vec<usize> = (0..self.all.len())
            .filter(|place| self.all.get(*place).is_some_and(|path| path.bulk))
            .collect();
        let links = |places: &[usize], side: &dyn Fn(&Path) -> RemoteLink| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            let mut links: Vec<RemoteLink> = paths.map(side).collect();
            links.sort_unstable();
            links.dedup();
            links
        };
        let covers =
            |side: &dyn Fn(&Path) -> RemoteLink| links(&held, side) == links(eligible, side);
        let sum = |places: &[usize]| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            paths.filter_map(Path::rtt).sum::<Duration>()
        };
        let lesser = |places: &[usize]| {
            let paths = places.iter().filter_map(|place| self.all.get(*place));
            let lesser = paths
                .filter(|path| path.is_metered() || path.probing.health != PathHealth::Healthy);
            lesser.count()
        };
        held.len() == fresh.len()
            && held.iter().all(|place| eligible.contains(place))
            && covers(&|path| RemoteLink::Told(path.link))
            && covers(&|path| path.remote_link)
            && lesser(&held) == lesser(fresh)
            && sum(fresh) * ROLE_GAIN.1 >= sum(&held) * ROLE_GAIN.0
    }
}
