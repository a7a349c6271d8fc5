//! Busy hours: spares by the clock on the wall, in the timezone of those who come.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use preheat_api::config::Busy;

/// When how many spares are wanted, whatever the load says.
#[derive(Debug, Clone, Default)]
pub struct Schedule(Vec<Hours>);

#[derive(Debug, Clone)]
struct Hours {
    /// From Monday on.
    days: [bool; 7],
    from: Time,
    /// Before `from`: of the next day.
    to: Time,
    zone: TimeZone,
    spares: usize,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Schedule {
    /// # Errors
    /// What cannot be read, and how it is written.
    pub fn read(busy: &[Busy]) -> Result<Self, String> {
        let hours = busy.iter().map(Hours::read).collect::<Result<_, _>>()?;
        Ok(Schedule(hours))
    }

    /// Spares by the schedule, if it speaks now or will within `ahead`: a spare has to be started so
    /// much earlier.
    #[must_use]
    pub fn spares(&self, now: Timestamp, ahead: Duration) -> Option<usize> {
        let soon = now.checked_add(ahead).unwrap_or(now);
        let speaks = |hours: &&Hours| hours.hold(now) || hours.hold(soon);
        self.0.iter().filter(speaks).map(|hours| hours.spares).max()
    }
}

impl Hours {
    fn read(busy: &Busy) -> Result<Self, String> {
        let time = |text: &str| {
            let read = Time::strptime("%H:%M", text);
            read.map_err(|_| format!("{text:?} is no time of the day: write it like 08:45"))
        };
        let zone = TimeZone::get(&busy.timezone).map_err(|_| {
            let name = &busy.timezone;
            format!("{name:?} is no timezone: write it like Europe/Berlin, or UTC")
        })?;
        Ok(Hours {
            days: days(&busy.days)?,
            from: time(&busy.from)?,
            to: time(&busy.to)?,
            zone,
            spares: busy.spares,
        })
    }

    fn hold(&self, at: Timestamp) -> bool {
        let there = self.zone.to_datetime(at);
        let (day, time) = (there.weekday(), there.time());
        let on = |day: Weekday| self.days[usize::from(day.to_monday_zero_offset().unsigned_abs())];
        if self.from < self.to {
            on(day) && (self.from..self.to).contains(&time)
        } else {
            // Over midnight: the evening of a day, and the morning after it.
            (on(day) && time >= self.from) || (on(day.previous()) && time < self.to)
        }
    }
}

/// `mon-fri`, `sat,sun`, `fri-mon`.
fn days(text: &str) -> Result<[bool; 7], String> {
    let wrong = || format!("{text:?} are no days: write them like mon-fri or sat,sun");
    let number = |day: &str| DAYS.iter().position(|known| *known == day.trim());
    let mut days = [false; 7];
    for part in text.to_ascii_lowercase().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first = number(first).ok_or_else(wrong)?;
        let last = number(last).ok_or_else(wrong)?;
        let mut day = first;
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(days: &str, from: &str, to: &str, timezone: &str) -> Busy {
        Busy {
            days: days.into(),
            from: from.into(),
            to: to.into(),
            spares: 2,
            timezone: timezone.into(),
        }
    }

    fn spares(busy: Busy, at: &str, ahead: u64) -> Option<usize> {
        let schedule = Schedule::read(&[busy]).unwrap();
        schedule.spares(at.parse().unwrap(), Duration::from_secs(ahead))
    }

    #[test]
    fn hours_are_those_of_the_place_summer_and_winter() {
        let morning = || busy("mon-fri", "08:45", "11:00", "Europe/Berlin");
        for (at, wanted) in [
            ("2026-11-27T07:44:59Z", None),
            ("2026-11-27T07:45:00Z", Some(2)), // Friday, winter
            ("2026-11-27T10:00:00Z", None),
            ("2026-11-28T08:00:00Z", None),    // Saturday
            ("2026-07-03T06:45:00Z", Some(2)), // Friday, summer
        ] {
            assert_eq!(spares(morning(), at, 0), wanted, "{at}");
        }
        // A spare that needs ten minutes is asked for ten minutes earlier.
        assert_eq!(spares(morning(), "2026-11-27T07:36:00Z", 600), Some(2));
        assert_eq!(spares(morning(), "2026-11-27T07:34:00Z", 600), None);
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = || busy("fri", "22:00", "02:00", "UTC");
        for (at, wanted) in [
            ("2026-11-27T23:00:00Z", Some(2)),
            ("2026-11-28T01:59:00Z", Some(2)),
            ("2026-11-28T02:00:00Z", None),
            ("2026-11-27T01:00:00Z", None),
            ("2026-11-28T23:00:00Z", None),
        ] {
            assert_eq!(spares(night(), at, 0), wanted, "{at}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_how_it_is_written() {
        assert_eq!(
            days("fri-mon").unwrap(),
            [true, false, false, false, true, true, true]
        );
        for (wrong, hint) in [
            (busy("weekdays", "08:00", "09:00", "UTC"), "mon-fri"),
            (busy("mon", "8 am", "09:00", "UTC"), "08:45"),
            (busy("mon", "08:00", "24:30", "UTC"), "08:45"),
            (busy("mon", "08:00", "09:00", "Berlin"), "Europe/Berlin"),
        ] {
            let problem = Schedule::read(&[wrong]).unwrap_err();
            assert!(problem.contains(hint), "{problem}");
        }
    }
}
