//! Angles of positions, made for as many as are asked for.
//!
//! A model may say that it takes millions of positions; angles of all of them would need gigabytes for a window of 256.

use std::sync::{Arc, PoisonError, RwLock};

use narrows::compute::Rotation;

use super::architecture::{Architecture, Positions};

/// Positions that have angles at first.
const FIRST: usize = 2048;

/// The angles of a model whose positions turn.
pub(super) struct Angles {
    frequencies: Vec<f32>,
    /// Positions that the model takes.
    most: usize,
    made: RwLock<Arc<Rotation>>,
}

impl Angles {
    /// `None` where nothing turns.
    pub(super) fn new(made: &Architecture) -> Option<Self> {
        let Positions::Rotary { frequencies } = &made.positions else { return None };
        let (frequencies, most) = (frequencies.clone(), made.context);
        let first = Arc::new(Rotation::new(FIRST.min(most), &frequencies));
        (!frequencies.is_empty()).then_some(Self { frequencies, most, made: RwLock::new(first) })
    }

    /// Angles of at least `length` positions, where the model takes so many.
    pub(super) fn of(&self, length: usize) -> Arc<Rotation> {
        let made = Arc::clone(&self.made.read().unwrap_or_else(PoisonError::into_inner));
        if length.min(self.most) <= made.positions() {
            return made;
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first.
        if length.min(self.most) > made.positions() {
            let positions = length.next_power_of_two().min(self.most);
            *made = Arc::new(Rotation::new(positions, &self.frequencies));
        }
        Arc::clone(&made)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn angles(most: usize) -> Angles {
        let frequencies = vec![1.0, 0.5];
        let made = RwLock::new(Arc::new(Rotation::new(FIRST.min(most), &frequencies)));
        Angles { frequencies, most, made }
    }

    #[test]
    fn angles_grow_with_what_is_asked_for_and_end_with_the_model() {
        let angles = angles(10_000_000);
        assert_eq!(angles.of(3).positions(), FIRST);
        assert_eq!(angles.of(FIRST + 1).positions(), 2 * FIRST);
        // They are the same as if all had been made at once, and none are made again.
        assert_eq!(*angles.of(5), Rotation::new(2 * FIRST, &[1.0, 0.5]));
        assert!(Arc::ptr_eq(&angles.of(5), &angles.of(2 * FIRST)));
        assert_eq!(self::angles(3000).of(2999).positions(), 3000);
    }

    #[test]
    fn threads_that_ask_at_once_get_what_they_ask_for() {
        let angles = angles(1 << 20);
        std::thread::scope(|scope| {
            for thread in 1..5 {
                let angles = &angles;
                scope.spawn(move || assert!(angles.of(thread * 3000).positions() >= thread * 3000));
            }
        });
        assert_eq!(angles.of(1).positions(), 16_384);
    }
}
