//! A manifest as a picture: the components, the services they call, the devices they drive.
//!
//! A component is a box, coloured by its kind, with its priority, its memory and, if it is throttled, its
//! share of time. Each service it provides is a tab on the box's upper edge; an arrow runs from each
//! client to the tab of the service it calls, dashed if the client can do without. Devices hang below
//! their driver. Components that are started by hand stand apart. Two things are not drawn as arrows
//! because they would cover everything else: calls to the registry, which everybody may make, and
//! optional uses of a service that many components have, which stand as words in the client's box.

mod layout;

use std::fmt::Write;

use crate::model::{Component, Kind, Manifest, Start};
use layout::layout;

const BOX_WIDTH: f64 = 196.0;
const BOX_HEIGHT: f64 = 74.0;
const TAB: f64 = 20.0;
const DEVICE: f64 = 19.0;
const ROW_GAP: f64 = 74.0;
const MARGIN: f64 = 36.0;
const HEAD: f64 = 96.0;
const FOOT: f64 = 66.0;
/// From this number of optional clients a service is written into their boxes.
const COMMON: usize = 4;

/// Fill, line and text colours of a kind.
fn colours(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Driver => ("#fdf0dc", "#c77d18"),
        Kind::Service => ("#e6f0fb", "#2f6fb3"),
        Kind::App => ("#e7f5ea", "#3a8f52"),
    }
}

/// A component's place on the page.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The centre.
    x: f64,
    /// The upper edge of the box, below its tabs.
    y: f64,
    /// The lower edge of the whole row, devices included: arrows turn only below it.
    row_end: f64,
}

/// One arrow.
struct Arrow {
    from: usize,
    to: usize,
    service: String,
    optional: bool,
    /// The places where it passes between two boxes.
    bends: Vec<Place>,
}

/// Draws the manifest as an SVG document.
#[must_use]
pub fn svg(manifest: &Manifest) -> String {
    let components = &manifest.components;
    let is_common = |service: &str| {
        let clients = components.iter().filter(|c| c.uses.iter().any(|u| u.optional && u.service == service));
        clients.count() >= COMMON
    };
    let mut arrows = Vec::new();
    let mut words: Vec<Vec<&str>> = vec![Vec::new(); components.len()];
    for (from, component) in components.iter().enumerate() {
        for used in &component.uses {
            let Some(to) = used.provider.map(usize::from).filter(|&to| to < components.len()) else {
                continue;
            };
            let apart = components[to].start != component.start;
            if used.service == "registry" || used.optional && (apart || is_common(&used.service)) {
                words[from].push(&used.service);
            } else {
                let (service, optional) = (used.service.clone(), used.optional);
                arrows.push(Arrow { from, to, service, optional, bends: Vec::new() });
            }
        }
    }

    let mut places = vec![Place::default(); components.len()];
    let mut panels = Vec::new();
    let mut left = MARGIN;
    let mut bottom: f64 = HEAD;
    for (start, title) in [(Start::Boot, "started with the system"), (Start::Manual, "started by hand")] {
        let members: Vec<usize> = (0..components.len()).filter(|&i| components[i].start == start).collect();
        if members.is_empty() {
            continue;
        }
        let (width, end) = lay_out_group(components, &members, &mut arrows, &mut places, left);
        panels.push((left, width, title));
        left += width + MARGIN;
        bottom = bottom.max(end);
    }
    let title = format!("{} — {} components, {}", manifest.name, components.len(), total(components));
    let width = left.max(760.0);
    let height = bottom + FOOT;

    let mut out = String::new();
    open(&mut out, width, height, &title);
    for (x, panel_width, title) in panels {
        let y = HEAD - 26.0;
        let _ = writeln!(
            out,
            r##"<rect x="{x:.0}" y="{y:.0}" width="{panel_width:.0}" height="{:.0}" rx="14" fill="#ffffff" stroke="#dfe3e8"/><text x="{:.0}" y="{:.0}" class="panel">{title}</text>"##,
            bottom - y,
            x + 16.0,
            y + 20.0
        );
    }
    arrows.iter().for_each(|arrow| draw_arrow(&mut out, arrow, components, &places));
    for (index, component) in components.iter().enumerate() {
        draw_component(&mut out, component, places[index], &words[index]);
    }
    legend(&mut out, MARGIN, height - FOOT + 20.0);
    out.push_str("</svg>\n");
    out
}

/// Lays out the components of one panel from `left`; gives the panel's width and lower edge.
fn lay_out_group(
    components: &[Component],
    members: &[usize],
    arrows: &mut [Arrow],
    places: &mut [Place],
    left: f64,
) -> (f64, f64) {
    const PADDING: f64 = 28.0;
    let position = |index: usize| members.iter().position(|&member| member == index);
    let inside: Vec<(usize, (usize, usize))> = arrows
        .iter()
        .enumerate()
        .filter_map(|(number, arrow)| Some((number, (position(arrow.from)?, position(arrow.to)?))))
        .collect();
    let edges: Vec<_> = inside.iter().map(|&(_, edge)| edge).collect();
    let widths: Vec<_> = members.iter().map(|_| BOX_WIDTH).collect();
    let laid = layout(&widths, &edges);
    let rows = laid.layer.iter().max().map_or(0, |last| last + 1);
    let mut spans = Vec::with_capacity(rows);
    let mut y = HEAD + 16.0 + TAB;
    for row in 0..rows {
        let in_row = members.iter().zip(&laid.layer).filter(|(_, layer)| **layer == row);
        let devices = in_row.map(|(&member, _)| devices(&components[member]).len()).max().unwrap_or(0);
        let row_end = y + BOX_HEIGHT + DEVICE * devices as f64;
        spans.push((y, row_end));
        y = row_end + if row + 1 < rows { ROW_GAP } else { PADDING };
    }
    let place = |x: f64, row: usize| Place { x: left + PADDING + x, y: spans[row].0, row_end: spans[row].1 };
    for (number, &member) in members.iter().enumerate() {
        places[member] = place(laid.x[number], laid.layer[number]);
    }
    for ((number, (from, _)), bends) in inside.iter().zip(&laid.bends) {
        let first = laid.layer[*from] + 1;
        arrows[*number].bends = bends.iter().enumerate().map(|(step, &x)| place(x, first + step)).collect();
    }
    (laid.width + 2.0 * PADDING, y)
}

fn open(out: &mut String, width: f64, height: f64, title: &str) {
    let _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif">
<title>{0}</title>
<style>
.title {{ font-size: 21px; font-weight: bold; fill: #1f2933 }}
.panel {{ font-size: 12px; fill: #7b8794 }}
.name {{ font-size: 15px; font-weight: bold; fill: #1f2933; text-anchor: middle }}
.fact {{ font-size: 11.5px; fill: #52606d; text-anchor: middle }}
.word {{ font-size: 10.5px; fill: #7b8794; text-anchor: middle }}
.tab {{ font-size: 11.5px; fill: #ffffff; text-anchor: middle }}
.device {{ font-size: 10.5px; fill: #52606d; text-anchor: middle; font-family: 'DejaVu Sans Mono', Menlo, Consolas, monospace }}
.legend {{ font-size: 12px; fill: #52606d }}
.arrow {{ fill: none; stroke: #8291a3; stroke-width: 1.5 }}
.optional {{ stroke-dasharray: 5 4 }}
</style>
<defs><marker id="head" viewBox="0 0 10 10" refX="8.5" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.8 L9.5 5 L0 9.2 z" fill="#667789"/></marker></defs>
<rect width="{width:.0}" height="{height:.0}" fill="#f7f8fa"/>
<text x="{MARGIN:.0}" y="44" class="title">{0}</text>"##,
        escape(title)
    );
}

fn draw_component(out: &mut String, component: &Component, place: Place, words: &[&str]) {
    let (fill, line) = colours(component.kind);
    let (left, top) = (place.x - BOX_WIDTH / 2.0, place.y);
    for (number, service) in component.provides.iter().enumerate() {
        let (x, width) = tab(component, number, place);
        let _ = writeln!(
            out,
            r##"<path d="M{:.1} {top:.1} v-{:.1} q0 -6 6 -6 h{:.1} q6 0 6 6 v{:.1} z" fill="{line}"/><text x="{x:.1}" y="{:.1}" class="tab">{}</text>"##,
            x - width / 2.0,
            TAB - 6.0,
            width - 12.0,
            TAB - 6.0,
            top - 6.0,
            escape(service)
        );
    }
    let mut facts = format!("priority {} · {}", component.priority, bytes(component.memory));
    if component.budget_ns < component.period_ns {
        let _ = write!(facts, " · {}% cpu", component.budget_ns * 100 / component.period_ns);
    }
    let words =
        if words.is_empty() { component.kind.name().to_owned() } else { format!("also uses {}", words.join(", ")) };
    let x = place.x;
    let _ = writeln!(
        out,
        r##"<rect x="{left:.1}" y="{top:.1}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="9" fill="{fill}" stroke="{line}" stroke-width="1.6"/>
<text x="{x:.1}" y="{:.1}" class="name">{}</text><text x="{x:.1}" y="{:.1}" class="fact">{facts}</text><text x="{x:.1}" y="{:.1}" class="word">{}</text>"##,
        top + 25.0,
        escape(&component.name),
        top + 44.0,
        top + 61.0,
        escape(&words)
    );
    for (number, device) in devices(component).iter().enumerate() {
        let y = top + BOX_HEIGHT + 3.0 + DEVICE * number as f64;
        let _ = writeln!(
            out,
            r##"<rect x="{:.1}" y="{y:.1}" width="{}" height="{}" rx="3" fill="#ffffff" stroke="#c3cad3"/><text x="{x:.1}" y="{:.1}" class="device">{device}</text>"##,
            left + 22.0,
            BOX_WIDTH - 44.0,
            DEVICE - 3.0,
            y + 12.0
        );
    }
}

/// The centre and width of the tab of a component's service.
fn tab(component: &Component, number: usize, place: Place) -> (f64, f64) {
    let count = component.provides.len() as f64;
    let share = (BOX_WIDTH - 20.0) / count;
    let wanted = component.provides[number].chars().count() as f64 * 7.4 + 22.0;
    (place.x + share * (number as f64 + 0.5 - count / 2.0), wanted.min(share - 4.0))
}

fn draw_arrow(out: &mut String, arrow: &Arrow, components: &[Component], places: &[Place]) {
    let (from, to) = (places[arrow.from], places[arrow.to]);
    let number = components[arrow.to].provides.iter().position(|service| *service == arrow.service).unwrap_or(0);
    let (tab_x, tab_width) = tab(&components[arrow.to], number, to);
    let end_y = to.y - TAB - 1.0;
    // Arrows leave and arrive a little apart, on the side they come from.
    let next_x = arrow.bends.first().map_or(to.x, |bend| bend.x);
    let last_x = arrow.bends.last().map_or(from.x, |bend| bend.x);
    let start_x = from.x + ((next_x - from.x) * 0.25).clamp(-BOX_WIDTH * 0.42, BOX_WIDTH * 0.42);
    let end_x = tab_x + ((last_x - tab_x) * 0.12).clamp(-tab_width * 0.4, tab_width * 0.4);
    let start_y = from.y + BOX_HEIGHT + DEVICE * devices(&components[arrow.from]).len() as f64;
    let mut path = format!("M{start_x:.1} {start_y:.1} V{:.1}", from.row_end);
    let (mut x, mut y) = (start_x, from.row_end);
    let mut curve = |to_x: f64, to_y: f64, straight_to: f64| {
        let middle = (to_y - y) / 2.0;
        let _ = write!(path, " C{x:.1} {:.1} {to_x:.1} {:.1} {to_x:.1} {to_y:.1}", y + middle, to_y - middle);
        let _ = write!(path, " V{straight_to:.1}");
        (x, y) = (to_x, straight_to);
    };
    for bend in &arrow.bends {
        curve(bend.x, bend.y - TAB, bend.row_end);
    }
    curve(end_x, end_y - 6.0, end_y);
    let class = if arrow.optional { "arrow optional" } else { "arrow" };
    let _ = writeln!(
        out,
        r##"<path d="{path}" class="{class}" marker-end="url(#head)"><title>{} uses {} of {}</title></path>"##,
        escape(&components[arrow.from].name),
        escape(&arrow.service),
        escape(&components[arrow.to].name)
    );
}

/// A component's devices, one line each.
fn devices(component: &Component) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(component.ports.iter().map(|range| format!("ports {:#x}-{:#x}", range.first, range.last)));
    lines.extend(component.irqs.iter().map(|line| format!("irq {line}")));
    lines.extend(component.pci.iter().map(|id| format!("pci {:04x}:{:04x}", id.vendor, id.device)));
    lines.extend(component.mmio.iter().map(|range| format!("mmio {:#x}", range.first)));
    lines
}

fn legend(out: &mut String, x: f64, y: f64) {
    let mut x = x;
    for kind in [Kind::Driver, Kind::Service, Kind::App] {
        let (fill, line) = colours(kind);
        let _ = writeln!(
            out,
            r##"<rect x="{x:.0}" y="{y:.0}" width="22" height="14" rx="3" fill="{fill}" stroke="{line}" stroke-width="1.5"/><text x="{:.0}" y="{:.0}" class="legend">{}</text>"##,
            x + 29.0,
            y + 12.0,
            kind.name()
        );
        x += 104.0;
    }
    for (class, text, advance) in [("arrow", "calls", 96.0), ("arrow optional", "can do without", 160.0)] {
        let _ = writeln!(
            out,
            r##"<path d="M{x:.0} {0:.0} h34" class="{class}" marker-end="url(#head)"/><text x="{1:.0}" y="{2:.0}" class="legend">{text}</text>"##,
            y + 7.0,
            x + 42.0,
            y + 12.0
        );
        x += advance;
    }
    let _ = writeln!(
        out,
        r##"<text x="{x:.0}" y="{:.0}" class="legend">Everybody may ask the registry.</text>"##,
        y + 12.0
    );
}

fn total(components: &[Component]) -> String {
    format!("{} of memory", bytes(components.iter().map(|component| component.memory).sum()))
}

fn bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes > 1 << 20 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{} KiB", bytes >> 10),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
