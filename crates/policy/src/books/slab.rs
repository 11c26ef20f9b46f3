//! Values at numbered places that stay where they are; a place that was left is taken again.

/// A table of values, each found by its place.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Option<T>>,
    left: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), left: Vec::new() }
    }

    /// Puts a value into a place that is free.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.left.pop() {
            self.places[place as usize] = Some(value);
            return place;
        }
        let place = u32::try_from(self.places.len()).expect("four billion values do not fit into memory");
        self.places.push(Some(value));
        place
    }

    pub(super) fn at(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// How many places there are, taken or not.
    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let value = self.places.get_mut(place as usize)?.take()?;
        self.left.push(place);
        Some(value)
    }

    /// The places that are taken, with their values.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (0..).zip(&mut self.places).filter_map(|(place, value)| Some((place, value.as_mut()?)))
    }
}
