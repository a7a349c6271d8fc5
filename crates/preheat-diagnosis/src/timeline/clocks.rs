//! Stamps of one stream, of which some tell the whole date, some no year, and some the hour alone.

/// A stamp below tells the hour and no date.
const DAY_S: f64 = 86_400.0;

/// Stamps without a year are of the year 2000, and some of a stream go on into January.
const YEARLESS_S: f64 = 63_143_020_800.0;

/// What a stamp tells of its day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Hour,
    Day,
    Date,
}

fn told(at: f64) -> Told {
    match at {
        _ if at < DAY_S => Told::Hour,
        _ if at < YEARLESS_S => Told::Day,
        _ => Told::Date,
    }
}

/// What the first stamp of the stream tells of its day, and the newest one on that clock.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(Told, f64)>);

impl Clock {
    /// A stamp on the clock of the first one: where it tells less or more of its day, it is of that day which
    /// brings it closest to the newest.
    pub(super) fn same(&mut self, at: f64) -> f64 {
        let (kind, newest) = *self.0.get_or_insert((told(at), at));
        let apart = (at - newest).rem_euclid(DAY_S);
        let at = match kind == told(at) {
            true => at,
            false if apart > DAY_S / 2.0 => newest + apart - DAY_S,
            false => newest + apart,
        };
        self.0 = Some((kind, at));
        at
    }
}

/// From one stamp to the next, of which one may tell no date.
pub(crate) fn between(from: f64, to: f64) -> f64 {
    match told(from) == told(to) {
        true => to - from,
        false => to % DAY_S - from % DAY_S,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::stamp::stamp;

    #[test]
    fn stamps_of_one_stream_are_put_on_one_clock() {
        for (one, two, seconds) in [
            ("2026-11-30 23:49:59,026 a", "23:50:00.026 b", 1.0),
            ("2026-11-30 23:59:59,500 a", "00:00:00.500 b", 1.0),
            ("2026-12-01 00:00:00,500 a", "23:59:59.500 b", -1.0),
            ("2026-11-30 23:51:01,552 a", "V1130 23:51:01.802 b", 0.25),
            ("Nov 30 23:51:01 a", "Nov 30 23:51:03 b", 2.0),
            ("12-31 23:59:59.000 a", "2027-01-01 00:00:01 b", 2.0),
            ("[09/13/25 13:50:20] a", "2025-09-13 13:58:02.9 b", 462.9),
        ] {
            let at = |text| stamp(text).expect(text).0;
            let mut clock = Clock::default();
            let (from, to) = (clock.same(at(one)), clock.same(at(two)));
            let apart = (between(from, to) * 1e3).round() / 1e3;
            assert_eq!(apart, seconds, "{one} {two}");
        }
    }
}
