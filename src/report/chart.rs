//! The plots, as SVG by plotters in placeholder colours (see `theme`).
//!
//! They are drawn 320 units wide, about what a phone has, so that text stays readable there without a second drawing.
//! Absent: tables and captions (`html`), and any choice of what to plot.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::stats::Interval;
use super::text::number;
use super::theme::{self, GRID, INK, PAPER, themed};

const WIDTH: u32 = 320;
const LINES_HEIGHT: u32 = 250;
const FONT: &str = "sans-serif";
/// plotters divides it by 1.24.
const FONT_SIZE: i32 = 15;
const BAR_PITCH: i32 = 38;
const BAR_HEIGHT: i32 = 15;
const MARGIN: i32 = 6;

type Drawn = Result<(), Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A bar with its whisker.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    /// To the baseline.
    pub(super) ratio: Option<f64>,
    pub(super) interval: Option<Interval>,
    /// Drawn as a mark beside the bar.
    pub(super) mark: Option<f64>,
    pub(super) colour: usize,
}

impl Bar {
    /// `round-robin: 494.9 (×1.00)`.
    pub(super) fn words(&self) -> String {
        let ratio = self.ratio.map_or_else(String::new, |ratio| format!(" (×{ratio:.2})"));
        format!("{}: {}{ratio}", self.label, number(self.value))
    }
}

/// A bar of shares that add up to 1 at most.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) label: String,
    /// Name and share.
    pub(super) parts: Vec<(String, f64)>,
}

/// A line of a plot, in plot units.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) colour: usize,
}

/// An axis: what it says, its range, and where ticks stand, in plot units and words.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) range: Range<f64>,
}

impl Axis {
    /// From 0 to a little beyond `max`, ticks at round numbers.
    pub(super) fn linear(title: &str, max: f64) -> Axis {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let step = round_step(max / 5.0);
        let count = (max / step).ceil() as usize;
        let decimals = if step < 1.0 { (-step.log10()).ceil().clamp(0.0, 9.0) as usize } else { 0 };
        let ticks = (0..=count).map(|tick| {
            let at = tick as f64 * step;
            (at, format!("{at:.decimals$}"))
        });
        Axis { title: title.to_owned(), ticks: ticks.collect(), range: 0.0..count as f64 * step }
    }

    /// Powers of ten around `min..=max`; plot units are decimal logarithms.
    pub(super) fn logarithmic(title: &str, min: f64, max: f64) -> Axis {
        let min = if min.is_finite() && min > 0.0 { min } else { 0.001 };
        let low = min.log10().floor().clamp(-6.0, 12.0);
        let high = max.max(min).log10().ceil().clamp(low + 1.0, 13.0);
        let few = high - low <= 3.0;
        let mut ticks = Vec::new();
        for power in low as i32..=high as i32 {
            for digit in if few && power < high as i32 { &[1.0, 2.0, 5.0][..] } else { &[1.0][..] } {
                let value = digit * 10f64.powi(power);
                ticks.push((value.log10(), trimmed(value)));
            }
        }
        Axis { title: title.to_owned(), ticks, range: low..high }
    }
}

fn trimmed(value: f64) -> String {
    match value {
        thousands if thousands >= 1000.0 => format!("{}k", thousands / 1000.0),
        small => format!("{}", (small * 1e6).round() / 1e6),
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|digit| digit * power)
        .into_iter()
        .find(|round| *round >= step * 0.999)
        .unwrap_or(step)
}

/// Horizontal bars from 0, each under its label.
pub(super) fn bars(description: &str, bars: &[Bar]) -> Result<String, String> {
    let ends = bars
        .iter()
        .flat_map(|bar| [bar.value, bar.interval.map_or(0.0, |range| range.high), bar.mark.unwrap_or(0.0)]);
    let axis = Axis::linear("", ends.fold(0.0, f64::max));
    let height = bars.len() as i32 * BAR_PITCH + 24;
    let span = f64::from(WIDTH as i32 - 3 * MARGIN) / axis.range.end;
    let x = |value: f64| MARGIN + (value * span).round() as i32;
    draw(height as u32, description, |area| {
        for (at, label) in &axis.ticks {
            area.draw(&path([(x(*at), 0), (x(*at), height - 20)], GRID, 1))?;
            let edge = if *at == 0.0 {
                HPos::Left
            } else if *at == axis.range.end {
                HPos::Right
            } else {
                HPos::Center
            };
            area.draw(&words(label, (x(*at), height - 6), INK, edge))?;
        }
        for (index, bar) in bars.iter().enumerate() {
            let top = index as i32 * BAR_PITCH;
            area.draw(&words(&bar.words(), (x(0.0), top + 10), INK, HPos::Left))?;
            let box_ = [(x(0.0), top + 18), (x(bar.value), top + 18 + BAR_HEIGHT)];
            area.draw(&Rectangle::new(box_, theme::fill(bar.colour).filled()))?;
            let middle = top + 18 + BAR_HEIGHT / 2;
            if let Some(mark) = bar.mark {
                area.draw(&path([(x(mark), top + 15), (x(mark), top + 21 + BAR_HEIGHT)], INK, 3))?;
            }
            if let Some(range) = bar.interval {
                area.draw(&path([(x(range.low), middle), (x(range.high), middle)], INK, 2))?;
                for end in [range.low, range.high] {
                    area.draw(&path([(x(end), middle - 5), (x(end), middle + 5)], INK, 2))?;
                }
            }
        }
        Ok(())
    })
}

/// Horizontal bars of shares, each under its label; a part wide enough says its name.
pub(super) fn stacks(description: &str, stacks: &[Stack]) -> Result<String, String> {
    let height = stacks.len() as i32 * (BAR_PITCH + 4) + 4;
    let span = f64::from(WIDTH as i32 - 2 * MARGIN);
    draw(height as u32, description, |area| {
        for (index, stack) in stacks.iter().enumerate() {
            let top = index as i32 * (BAR_PITCH + 4);
            area.draw(&words(&stack.label, (MARGIN, top + 10), INK, HPos::Left))?;
            let mut from = 0.0;
            for (part, (name, share)) in stack.parts.iter().enumerate() {
                let ends = [from, from + share].map(|at| MARGIN + (at * span).round() as i32);
                from += share;
                let box_ = [(ends[0], top + 18), (ends[1], top + 38)];
                area.draw(&Rectangle::new(box_, theme::fill(part).filled()))?;
                area.draw(&path([(ends[1], top + 18), (ends[1], top + 38)], PAPER, 1))?;
                let short = name.rsplit_once(':').map_or(name.as_str(), |(_, port)| port);
                let label = format!("{short} {:.0} %", share * 100.0);
                if ends[1] - ends[0] > label.chars().count() as i32 * 8 {
                    area.draw(&words(&label, (ends[0] + 5, top + 29), on_fill(part), HPos::Left))?;
                }
            }
        }
        Ok(())
    })
}

/// Lines over two axes.
pub(super) fn lines(description: &str, x: &Axis, y: &Axis, lines: &[Line]) -> Result<String, String> {
    draw(LINES_HEIGHT, description, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(4)
            .margin_top(10)
            .margin_right(26)
            .x_label_area_size(38)
            .y_label_area_size(48)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let label = |axis: &Axis, at: f64| {
            let near = axis.ticks.iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
            near.map(|(_, text)| text.clone()).unwrap_or_default()
        };
        let style = (FONT, FONT_SIZE).into_font().color(&INK);
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(style.clone())
            .axis_desc_style(style)
            .x_desc(x.title.as_str())
            .y_desc(y.title.as_str())
            .x_label_formatter(&|at| label(x, *at))
            .y_label_formatter(&|at| label(y, *at))
            .draw()?;
        for line in lines {
            let points = line
                .points
                .iter()
                .map(|(a, b)| (a.clamp(x.range.start, x.range.end), b.clamp(y.range.start, y.range.end)));
            chart.draw_series(LineSeries::new(points, theme::line(line.colour).stroke_width(2)))?;
        }
        Ok(())
    })
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(at: &f64) -> String {
        at.to_string() // the mesh is given the ticks' own words
    }
}

fn path(points: [(i32, i32); 2], colour: RGBColor, width: u32) -> PathElement<(i32, i32)> {
    PathElement::new(points, colour.stroke_width(width))
}

fn words<'a>(text: &str, at: (i32, i32), colour: RGBColor, side: HPos) -> Text<'a, (i32, i32), String> {
    let style = (FONT, FONT_SIZE).into_font().color(&colour).pos(Pos::new(side, VPos::Center));
    Text::new(text.to_owned(), at, style)
}

/// What is readable on a fill: white on the dark ones.
const fn on_fill(index: usize) -> RGBColor {
    match index % theme::COLOURS {
        0 | 2 | 3 => WHITE,
        7 => PAPER,
        _ => BLACK,
    }
}

fn draw(height: u32, description: &str, plot: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String, String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    plot(&area).and_then(|()| Ok(area.present()?)).map_err(|error| error.to_string())?;
    drop(area);
    // plotters' own opening tag has fixed pixels and no name for those who cannot see it.
    let inner = svg.split_once('>').map_or("", |(_, inner)| inner);
    let description = super::html::escaped(description);
    let open = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" \
         aria-label=\"{description}\"><title>{description}</title>"
    );
    Ok(open + &themed(inner))
}
