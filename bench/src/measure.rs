//! The arithmetic: percentiles, the spread over rounds, ratios.

use serde::Serialize;

/// The smallest, the middle and the largest of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of these values; `None` when there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            let before = *sorted.get(middle.checked_sub(1)?)?;
            f64::midpoint(before, *sorted.get(middle)?)
        } else {
            *sorted.get(middle)?
        };
        Some(Self {
            min: *sorted.first()?,
            median,
            max: *sorted.last()?,
        })
    }
}

/// The middle one of some values; not a number when there are none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    Spread::of(values).map_or(f64::NAN, |spread| spread.median)
}

/// What each round of ours is to the same round of theirs. Contenders take turns within a round, so
/// a machine that is slow for a while is slow for both.
#[must_use]
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect()
}

/// The value that this share (0 to 1) of the values does not exceed (nearest rank). Sorts them.
///
/// # Panics
/// When there are none: a percentile of nothing is a mistake of the caller.
#[must_use]
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "a percentile of no values");
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::{Spread, percentile, ratios};

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(&[5.0, 9.0, 1.0]).unwrap().median, 5.0);
        assert_eq!(Spread::of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut hundred, 0.99), 99.0);
        assert_eq!(percentile(&mut hundred, 0.5), 50.0);
        assert_eq!(percentile(&mut hundred, 1.0), 100.0);
        assert_eq!(percentile(&mut hundred, 0.0), 1.0);
        assert_eq!(percentile(&mut [3.0, 1.0], 0.99), 3.0);
    }

    #[test]
    fn rounds_are_compared_with_the_same_round_of_the_other() {
        // A machine that halved its speed in the second round halved it for both.
        assert_eq!(ratios(&[900.0, 450.0], &[1000.0, 500.0]), [0.9, 0.9]);
    }
}
