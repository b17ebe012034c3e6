//! The first products of a page.

/// A product's place in an order: what is smaller stands first, and among those with the same rank the smaller slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: u64,
    /// The slug's place among those of its segment.
    pub(super) slug: u32,
    /// The product's number in its segment.
    pub(super) product: u32,
}

/// The first so many places of those that it is shown, in room for twice as many.
#[derive(Debug)]
pub(super) struct Top {
    size: usize,
    places: Vec<Place>,
    /// A place at which enough others stand before.
    bound: Option<(u64, u32)>,
}

impl Top {
    pub(super) fn new(size: usize) -> Self {
        Self { size, places: Vec::with_capacity(2 * size), bound: None }
    }

    /// Whether a product of this rank may still be among the first; its slug needn't be looked up if not.
    pub(super) fn may_take(&self, rank: u64) -> bool {
        self.bound.is_none_or(|(bound, _)| rank <= bound)
    }

    pub(super) fn take(&mut self, place: Place) {
        if self.bound.is_some_and(|bound| (place.rank, place.slug) > bound) {
            return;
        }
        self.places.push(place);
        if self.places.len() == 2 * self.size {
            let (.., last, _) = self.places.select_nth_unstable(self.size - 1);
            self.bound = Some((last.rank, last.slug));
            self.places.truncate(self.size);
        }
    }

    /// Them, in order.
    pub(super) fn first(mut self) -> Vec<Place> {
        self.places.sort_unstable();
        self.places.truncate(self.size);
        self.places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_are_those_of_a_sort(places in prop::collection::vec((0_u64..20, 0_u32..1000), 0..400), size in 1_usize..40) {
            let mut top = Top::new(size);
            let mut all: Vec<_> =
                (0..).zip(&places).map(|(product, &(rank, slug))| Place { rank, slug, product }).collect();
            for place in &all {
                if top.may_take(place.rank) {
                    top.take(*place);
                }
            }
            all.sort_unstable();
            all.truncate(size);
            let keys = |places: &[Place]| places.iter().map(|place| (place.rank, place.slug)).collect::<Vec<_>>();
            prop_assert_eq!(keys(&top.first()), keys(&all));
        }
    }
}
