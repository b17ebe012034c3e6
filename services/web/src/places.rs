//! Few places, of which each visitor has a share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for what lasts. Clones are the same places.
#[derive(Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    all: usize,
    of_one: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    of: HashMap<Arc<str>, usize>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Places,
    whose: Arc<str>,
}

impl Places {
    /// This many in `all`, of which one visitor may have `of_one`.
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { taken: Arc::default(), all, of_one }
    }

    /// A place for the visitor `whose`; `None` if there is none for them.
    pub(crate) fn take(&self, whose: &Arc<str>) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.of.get(whose).copied().unwrap_or_default();
        if taken.all >= self.all || own >= self.of_one {
            return None;
        }
        taken.all += 1;
        taken.of.insert(whose.clone(), own + 1);
        Some(Place { places: self.clone(), whose: whose.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(own) = taken.of.get_mut(&self.whose) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_visitor_cannot_take_all_places_and_a_place_is_given_back() {
        let places = Places::new(5, 2);
        let [ada, eve, joe] = ["ada", "eve", "joe"].map(Arc::from);
        let mut eves: Vec<_> = (0..4).filter_map(|_| places.take(&eve)).collect();
        assert_eq!(eves.len(), 2, "her share");
        let adas = [places.take(&ada).unwrap(), places.take(&ada).unwrap()];
        let joes = places.take(&joe).unwrap();
        assert!(places.take(&joe).is_none(), "all five are taken");
        eves.pop();
        assert!(places.take(&joe).is_some());
        drop((eves, adas, joes));
        assert!(places.taken().of.is_empty() && places.taken().all == 0, "nothing is remembered of who has gone");
    }
}
