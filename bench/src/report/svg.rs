//! Curves as SVG, small enough to be read as text.

use std::fmt::Write;

use crate::result::Plot;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
/// Room beside the curves: left, right (their names stand there), top, bottom.
const ROOM: (f64, f64, f64, f64) = (64.0, 150.0, 36.0, 48.0);
/// Ticks that are aimed at on an axis.
const TICKS: f64 = 6.0;
/// Points of one curve; of more, every other is left out until they are fewer.
const POINTS_MAX: usize = 600;
/// Colours that differ in brightness, too.
const COLOURS: [&str; 6] = ["#1f4e9c", "#c8553d", "#2f9e6e", "#8a4fbf", "#b08900", "#555555"];
/// What a logarithmic axis shows of 0.
const LOG_LEAST: f64 = 0.01;

/// An axis: values from `least` to `most`, and where its ticks are.
#[derive(Clone, PartialEq, Debug)]
struct Axis {
    least: f64,
    most: f64,
    ticks: Vec<f64>,
    log: bool,
}

impl Axis {
    fn linear(least: f64, most: f64) -> Self {
        let most = if most > least { most } else { least + 1.0 };
        let step = step((most - least) / TICKS);
        let (first, last) = ((least / step).floor(), (most / step).ceil());
        let count = (last - first) as usize;
        let ticks: Vec<f64> = (0..=count).map(|tick| (first + tick as f64) * step).collect();
        Self { least: first * step, most: last * step, ticks, log: false }
    }

    fn log(least: f64, most: f64) -> Self {
        let first = least.max(LOG_LEAST).log10().floor() as i32;
        let last = (most.max(LOG_LEAST).log10().ceil() as i32).max(first + 1);
        let ticks: Vec<f64> = (first..=last).map(|power| 10_f64.powi(power)).collect();
        Self { least: 10_f64.powi(first), most: 10_f64.powi(last), ticks, log: true }
    }

    /// Where a value is: 0 at the beginning, 1 at the end.
    fn share(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.log { value.max(self.least).log10() } else { value };
        (scale(value) - scale(self.least)) / (scale(self.most) - scale(self.least))
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// A picture.
pub fn draw(plot: &Plot) -> String {
    let all = || plot.curves.iter().flat_map(|curve| &curve.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let ends = |of: fn(&(f64, f64)) -> f64| {
        all().map(of).fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)))
    };
    let (x_ends, y_ends) =
        if all().next().is_some() { (ends(|at| at.0), ends(|at| at.1)) } else { ((0.0, 1.0), (0.0, 1.0)) };
    let x_axis = Axis::linear(x_ends.0, x_ends.1);
    let y_axis = if plot.log { Axis::log(y_ends.0, y_ends.1) } else { Axis::linear(0.0, y_ends.1) };
    let (left, right, top, bottom) = ROOM;
    let x = |value: f64| left + x_axis.share(value) * (WIDTH - left - right);
    let y = |value: f64| HEIGHT - bottom - y_axis.share(value) * (HEIGHT - top - bottom);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, (left, 16.0), "start", &plot.title);
    for tick in &y_axis.ticks {
        let (at, end) = (y(*tick), WIDTH - right);
        let _ = writeln!(out, "<path d=\"M{left} {at:.1}H{end}\" stroke=\"#dddddd\"/>");
        text(&mut out, (left - 6.0, at + 4.0), "end", &number(*tick));
    }
    for tick in &x_axis.ticks {
        text(&mut out, (x(*tick), HEIGHT - bottom + 16.0), "middle", &number(*tick));
    }
    text(&mut out, ((left + WIDTH - right) / 2.0, HEIGHT - 12.0), "middle", &plot.x);
    text(&mut out, (8.0, top - 6.0), "start", &plot.y);
    for (no, curve) in plot.curves.iter().enumerate() {
        let colour = COLOURS[no % COLOURS.len()];
        let every = curve.points.len().div_ceil(POINTS_MAX).max(1);
        let points: Vec<String> =
            curve.points.iter().step_by(every).map(|at| format!("{:.1},{:.1}", x(at.0), y(at.1))).collect();
        let _ = writeln!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        );
        let at = (WIDTH - right + 36.0, top + 12.0 + 14.0 * no as f64);
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"3\" fill=\"{colour}\"/>",
            at.0 - 16.0,
            at.1 - 5.0
        );
        text(&mut out, at, "start", &curve.name);
    }
    out.push_str("</svg>\n");
    out
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{}</text>",
        escaped(words)
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn number(value: f64) -> String {
    if value.abs() >= 10_000.0 {
        format!("{}k", (value / 100.0).round() / 10.0)
    } else {
        format!("{}", (value * 1_000.0).round() / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Curve;

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        let axis = Axis::linear(0.0, 97.0);
        assert_eq!(axis.ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!((axis.share(0.0)).abs() < 1e-9 && (axis.share(100.0) - 1.0).abs() < 1e-9);
        let log = Axis::log(0.5, 300.0);
        assert_eq!((log.ticks.len(), log.least, log.most), (5, 0.1, 1_000.0));
        assert!((log.share(10.0) - 0.5).abs() < 1e-9 && log.share(0.0).abs() < 1e-9);
    }

    #[test]
    fn a_picture_has_a_line_for_each_curve_and_no_words_of_its_own_markup() {
        let curve = |name: &str| Curve { name: name.into(), points: vec![(0.0, 1.0), (10.0, 5.0), (20.0, 2.0)] };
        let plot = Plot { title: "a < b".into(), curves: vec![curve("one"), curve("two")], ..Plot::default() };
        let drawn = draw(&plot);
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert!(drawn.contains("a &lt; b") && drawn.ends_with("</svg>\n"));
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        let drawn = draw(&Plot { curves: vec![Curve::default()], ..Plot::default() });
        assert!(drawn.contains("<svg") && !drawn.contains("NaN"));
        let flat =
            Plot { log: true, curves: vec![Curve { name: "0".into(), points: vec![(1.0, 0.0)] }], ..Plot::default() };
        assert!(!draw(&flat).contains("NaN"));
    }

    #[test]
    fn long_curves_are_thinned() {
        let points = (0..5_000).map(|at| (f64::from(at), 1.0)).collect();
        let drawn = draw(&Plot { curves: vec![Curve { name: "long".into(), points }], ..Plot::default() });
        assert!(drawn.len() < 20_000, "{}", drawn.len());
    }
}
