//! Line charts as inline SVG.

use std::fmt;

use super::escaped;
use crate::verb::simulate::text::time;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 26.0;

pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
    pub marks: Vec<Mark>,
}

/// From what to what, where the ticks are, and how they are written.
pub struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

pub struct Line {
    name: &'static str,
    class: &'static str,
    kind: Kind,
    points: Vec<(f64, f64)>,
}

enum Kind {
    Straight,
    Steps,
    Dots,
}

pub enum Mark {
    /// A level, from side to side.
    Across(f64, String),
}

impl Axis {
    pub fn seconds(to: f64) -> Self {
        let step = nice(to / 8.0);
        let ticks = ticks(to, step).map(|s| {
            let text = if step >= 3600.0 {
                format!("{:.0} h", s / 3600.0)
            } else if step >= 60.0 {
                format!("{:.0} min", s / 60.0)
            } else {
                format!("{s:.0} s")
            };
            (s, text)
        });
        Axis {
            from: 0.0,
            to: to.max(1e-9),
            logarithmic: false,
            ticks: ticks.collect(),
        }
    }

    pub fn requests(count: usize) -> Self {
        let to = count.max(1) as f64;
        let step = nice(to / 10.0).max(1.0);
        Axis {
            from: 0.0,
            to: to + 1.0,
            logarithmic: false,
            ticks: ticks(to, step).map(|n| (n, format!("{n:.0}"))).collect(),
        }
    }

    pub fn count(most: usize) -> Self {
        let to = most.max(1) as f64 * 1.08;
        let step = nice(to / 5.0).max(1.0);
        Axis {
            from: 0.0,
            to,
            logarithmic: false,
            ticks: ticks(to, step).map(|n| (n, format!("{n:.0}"))).collect(),
        }
    }

    /// Decades around the values.
    pub fn log_ms(values: impl Iterator<Item = f64>) -> Self {
        let sound = values.filter(|v| v.is_finite() && *v > 0.0);
        let (least, most) = sound.fold((f64::MAX, 1.0f64), |(a, b), v| (a.min(v), b.max(v)));
        let first = least.min(most).max(0.1).log10().floor() as i32;
        let last = (most.log10().ceil() as i32).clamp(first + 1, first + 9);
        let ticks = (first..=last).map(|decade| {
            let ms = 10f64.powi(decade);
            (ms, time(ms))
        });
        Axis {
            from: 10f64.powi(first),
            to: 10f64.powi(last),
            logarithmic: true,
            ticks: ticks.collect(),
        }
    }

    /// Where in the chart a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let value = value.max(self.from);
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }
}

/// A step of 1, 2 or 5 times a power of ten; whole minutes and hours for long times.
fn nice(step: f64) -> f64 {
    for whole in [60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0] {
        if step > 30.0 && step <= whole {
            return whole;
        }
    }
    let power = 10f64.powf(step.max(1e-9).log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= step);
    factor.unwrap_or(10.0) * power
}

fn ticks(to: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = (to / step).floor().min(40.0) as u32;
    (0..=count).map(move |n| f64::from(n) * step)
}

impl Line {
    pub fn new(name: &'static str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Line {
            name,
            class,
            kind: Kind::Straight,
            points,
        }
    }

    pub fn steps(name: &'static str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Line {
            kind: Kind::Steps,
            ..Line::new(name, class, points)
        }
    }

    pub fn dots(name: &'static str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Line {
            kind: Kind::Dots,
            ..Line::new(name, class, points)
        }
    }
}

impl Chart {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, text) in &self.y.ticks {
            let (_, y) = self.at((0.0, *value));
            writeln!(
                f,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                escaped(text)
            )?;
        }
        for (value, text) in &self.x.ticks {
            let (x, _) = self.at((*value, 0.0));
            writeln!(
                f,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                escaped(text)
            )?;
        }
        Ok(())
    }

    fn line(&self, line: &Line, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = line.points.iter().map(|point| self.at(*point));
        if matches!(line.kind, Kind::Dots) {
            for (x, y) in points {
                writeln!(
                    f,
                    "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>",
                    line.class
                )?;
            }
            return Ok(());
        }
        let mut path = String::new();
        let mut before = None;
        for (x, y) in points {
            if let (Kind::Steps, Some(level)) = (&line.kind, before) {
                path += &format!("{x:.1},{level:.1} ");
            }
            path += &format!("{x:.1},{y:.1} ");
            before = Some(y);
        }
        writeln!(
            f,
            "<polyline class=\"{}\" points=\"{}\"/>",
            line.class,
            path.trim_end()
        )
    }

    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut x = LEFT;
        for line in &self.lines {
            writeln!(
                f,
                "<text class=\"{}\" x=\"{x:.0}\" y=\"14\">{}</text>",
                line.class, line.name
            )?;
            x += 14.0 + 7.0 * line.name.len() as f64;
        }
        Ok(())
    }
}

impl fmt::Display for Chart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = escaped(&self.title);
        writeln!(
            f,
            "<figure tabindex=\"0\">\n<figcaption>{title}</figcaption>\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        )?;
        self.grid(f)?;
        self.lines.iter().try_for_each(|line| self.line(line, f))?;
        for Mark::Across(level, text) in &self.marks {
            let (_, y) = self.at((0.0, *level));
            writeln!(
                f,
                "<line class=\"limit\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>\
                 <text class=\"limit\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                WIDTH - RIGHT,
                y - 5.0,
                escaped(text)
            )?;
        }
        self.legend(f)?;
        writeln!(f, "</svg>\n</figure>")
    }
}
