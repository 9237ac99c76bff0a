//! Colours that follow the reader's light or dark theme.
//!
//! plotters writes fixed colours. Charts are drawn in placeholder colours, which [`themed`] replaces by CSS variables
//! and, for lines, dashes: so one SVG serves both themes and no meaning is carried by colour alone.

use plotters::style::RGBColor;

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(1, 2, 3);
/// Grid lines and the ends of nothing.
pub(super) const GRID: RGBColor = RGBColor(1, 2, 4);
/// What lies behind.
pub(super) const PAPER: RGBColor = RGBColor(1, 2, 5);

/// Okabe and Ito's, told apart with any colour vision; black is the theme's ink. The page names them --c0 to --c7.
pub(super) const COLOURS: usize = 8;
/// Dashes of a line, by its number.
const DASHES: [&str; COLOURS] = ["", "7 3", "2 2", "9 3 2 3", "12 4", "4 4", "2 4", "9 2 2 2 2 2"];

/// The fill of series `index`.
pub(super) const fn fill(index: usize) -> RGBColor {
    RGBColor(1, 3, (index % COLOURS) as u8)
}

/// The line of series `index`.
pub(super) const fn line(index: usize) -> RGBColor {
    RGBColor(1, 4, (index % COLOURS) as u8)
}

/// The dashes of series `index`, as SVG has them; empty for a solid line.
pub(super) const fn dashes(index: usize) -> &'static str {
    DASHES[index % COLOURS]
}

/// `svg` with placeholders replaced.
pub(super) fn themed(svg: &str) -> String {
    let mut themed = svg
        .replace("\"#010203\"", "\"var(--ink)\"")
        .replace("\"#010204\"", "\"var(--grid)\"")
        .replace("\"#010205\"", "\"var(--paper)\"");
    for index in 0..COLOURS {
        let dash = match dashes(index) {
            "" => String::new(),
            dashes => format!(" stroke-dasharray=\"{dashes}\""),
        };
        themed = themed
            .replace(&format!("\"#01030{index}\""), &format!("\"var(--c{index})\""))
            .replace(&format!("stroke=\"#01040{index}\""), &format!("stroke=\"var(--c{index})\"{dash}"));
    }
    themed
}
