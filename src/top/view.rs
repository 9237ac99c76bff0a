//! The figures drawn in a terminal of any size.
//!
//! Small charts are text, a bar per second, so that they sort and scroll with their rows. Colour repeats what words say
//! already. Absent: keys and the terminal itself.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, Wrap};

use super::model::{Change, Watched};
use super::table::{COLUMNS, Column, Sort, ms, name, rows};
use super::text::{head, latest};

/// What the small charts show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chart {
    /// Of all requests, from none to all.
    #[default]
    Share,
    /// Mean of each second, from 0 to the highest of all rows.
    Latency,
}

/// All that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) watched: Watched,
    pub(super) sort: Sort,
    pub(super) chart: Chart,
    pub(super) is_paused: bool,
    /// The first row shown, when there are more than fit.
    pub(super) scroll: usize,
    /// Why there are no newer figures.
    pub(super) trouble: Option<String>,
}

const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const KEYS: &str = "q quit  p pause  s/S sort  r reverse  v share/latency  ↑↓ scroll";
const CHART_MIN: u16 = 10;
const NAME_MAX: u16 = 32;
const EVENTS_MAX: u16 = 8;

/// Draws it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let events = u16::try_from(view.watched.look.events.len()).unwrap_or(u16::MAX).min(EVENTS_MAX);
    let below = if events > 0 && frame.area().height > 16 { events + 1 } else { 0 };
    let [top, middle, bottom, keys] = Layout::vertical([
        Constraint::Length(head_height(view, frame.area().width)),
        Constraint::Min(3),
        Constraint::Length(below),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, view, top);
    draw_table(frame, view, middle);
    draw_events(frame, view, bottom);
    let sorted = view.sort.column.map_or("the configuration's order", |column| COLUMNS[column].title);
    let arrow = if view.sort.reversed { ", reversed" } else { "" };
    let line = format!("{KEYS}   by {sorted}{arrow}");
    frame.render_widget(Line::styled(line, Style::new().add_modifier(Modifier::DIM)), keys);
}

fn figures(view: &View) -> Line<'static> {
    let mut spans = Vec::new();
    for (name, value) in head(&view.watched).figures {
        spans.push(Span::styled(format!("{name} "), Style::new().add_modifier(Modifier::DIM)));
        let is_bad = name.starts_with("errors/s") && value != "0.0";
        let style = Style::new().add_modifier(Modifier::BOLD);
        spans.push(Span::styled(value, if is_bad { style.fg(Color::Red) } else { style }));
        spans.push(Span::raw("   "));
    }
    Line::from(spans)
}

/// The figures wrap in a narrow terminal, at worst one line more than their length says.
fn head_height(view: &View, width: u16) -> u16 {
    let lines = figures(view).width().div_ceil(usize::from(width.max(1)));
    let wrapped = if lines > 1 { lines + 1 } else { lines };
    u16::try_from(wrapped).unwrap_or(8).min(8) + 3
}

fn draw_head(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let head = head(&view.watched);
    let mut first = vec![Span::styled(
        head.who,
        Style::new().add_modifier(Modifier::BOLD).fg(if head.is_ready {
            Color::Reset
        } else {
            Color::Yellow
        }),
    )];
    if view.is_paused {
        first.push(Span::styled("  PAUSED", Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD)));
    }
    let second = match (&view.trouble, &view.watched.look.stats.sentence) {
        (Some(why), _) => Line::styled(format!("No newer figures: {why}"), Style::new().fg(Color::Red)),
        (None, Some(sentence)) => Line::raw(sentence.clone()),
        (None, None) => Line::default(),
    };
    let text = vec![Line::from(first), second, figures(view)];
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), area);
}

fn draw_table(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let rows = rows(&view.watched, view.sort);
    let longest = rows.iter().map(|row| name(&row.backend.url).chars().count()).max().unwrap_or(0);
    let name_width = u16::try_from(longest).unwrap_or(NAME_MAX).clamp(7, NAME_MAX);
    let (columns, chart_width) = fitting(area.width.saturating_sub(name_width));
    let highest = highest_ms(view);
    let shown = rows.iter().skip(view.scroll.min(rows.len().saturating_sub(1))).map(|row| {
        let mut cells = vec![Cell::from(name(&row.backend.url).to_owned())];
        for column in &columns {
            let text = Line::from((column.cell)(row)).right_aligned();
            let style = if column.title == "state" {
                state_style(row.backend.state.as_deref())
            } else {
                Style::new()
            };
            cells.push(Cell::from(text).style(style));
        }
        let past = view.watched.history.get(&row.backend.url);
        let past = past.into_iter().flatten().copied().collect::<Vec<_>>();
        cells.push(Cell::from(bars(&past, view.chart, highest, usize::from(chart_width))).style(Color::Cyan));
        Row::new(cells)
    });
    let mut titles = vec![Cell::from("backend")];
    titles.extend(columns.iter().map(|column| {
        let is_sorted = view.sort.column.is_some_and(|at| COLUMNS[at].title == column.title);
        let style = if is_sorted { Style::new().add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        Cell::from(Line::from(column.title).right_aligned()).style(style)
    }));
    titles.push(Cell::from(match view.chart {
        Chart::Share => "share, 0 to 100%".to_owned(),
        Chart::Latency => format!("mean, 0 to {} ms", ms(Some(highest))),
    }));
    let widths = std::iter::once(name_width)
        .chain(columns.iter().map(|column| column.width))
        .chain([chart_width])
        .map(Constraint::Length);
    let table = Table::new(shown, widths)
        .header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)))
        .column_spacing(1)
        .block(Block::new().borders(Borders::TOP));
    frame.render_widget(table, area);
}

fn draw_events(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let events = &view.watched.look.events;
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = latest(events, room).into_iter().map(Line::raw).collect();
    let block = Block::new().borders(Borders::TOP).title("events");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The columns there is room for, in their order, and what is left for the chart.
fn fitting(width: u16) -> (Vec<&'static Column>, u16) {
    let mut columns: Vec<&Column> = COLUMNS.iter().collect();
    loop {
        let used: u16 = columns.iter().map(|column| column.width + 1).sum();
        let left = width.saturating_sub(used + 1);
        if left >= CHART_MIN || columns.is_empty() {
            return (columns, left);
        }
        let least = columns.iter().map(|column| column.rank).max();
        columns.retain(|column| Some(column.rank) != least);
    }
}

fn highest_ms(view: &View) -> f64 {
    let all = view.watched.history.values().flatten().filter_map(|change| change.mean_ms);
    all.fold(0.0, f64::max)
}

/// One bar per second, the latest at the right.
pub(super) fn bars(past: &[Change], chart: Chart, highest_ms: f64, width: usize) -> String {
    let latest = &past[past.len().saturating_sub(width)..];
    let pad = width - latest.len();
    let bar = |change: &Change| {
        let part = match chart {
            Chart::Share => Some(change.share),
            Chart::Latency => {
                change.mean_ms.map(|mean| if highest_ms > 0.0 { mean / highest_ms } else { 0.0 })
            }
        };
        // What is there is seen, however small.
        let height = part.map_or(0.0, |part| if part > 0.0 { (part * 8.0).ceil() } else { 0.0 });
        BARS[(height as usize).min(8)]
    };
    std::iter::repeat_n(' ', pad).chain(latest.iter().map(bar)).collect()
}

fn state_style(state: Option<&str>) -> Style {
    match state {
        Some("up") => Style::new().fg(Color::Green),
        Some("down" | "ejected") => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Some("trial" | "draining" | "removed") => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}
