//! Draws the state of the screen.

use crate::attention::report::age;
use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::base::harmless::steers;
use crate::top::keys::hints;
use crate::top::look::TopLook;
use crate::top::plan::{Pane, TopArea, TopPlan};
use crate::top::popup::{Popup, Purpose};
use crate::top::row::{TopRow, columns};
use crate::top::state::TopState;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

/// How long a notice stays at the foot, in milliseconds.
const SAID_FOR_MS: u64 = 15_000;

/// What drawing needs to know beside the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brush {
    pub look: TopLook,
    pub now: EpochMs,
}

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, state: &TopState, plan: &TopPlan, brush: Brush) {
    let area = frame.area();
    let line = |y: u16| Rect { x: 0, y, width: area.width, height: 1 }.intersection(area);
    frame.render_widget(title(state, brush, area.width), line(0));
    table(frame, state, rect(plan.list), brush);
    if let Some(at) = plan.about {
        frame.render_widget(about(state, brush, at.width), rect(at));
    }
    for (pane, at) in &plan.panes {
        draw_pane(frame, state, *pane, *at, brush);
    }
    if area.height > 1 {
        frame.render_widget(foot(state, brush, area.width), line(area.height - 1));
    }
    if let Some(popup) = &state.popup {
        draw_popup(frame, popup, brush.look);
    }
}

fn rect(at: TopArea) -> Rect {
    Rect { x: at.x, y: at.y, width: at.width, height: at.height }
}

/// `text` without what could steer the terminal, cut to `width` columns.
fn cut(text: &str, width: usize, look: TopLook) -> String {
    let clean: String = text.chars().map(|c| if steers(c) { '·' } else { c }).collect();
    let line = Line::raw(clean.as_str());
    if line.width() <= width {
        return clean;
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in clean.chars() {
        let next = Span::raw(c.to_string()).width();
        if used + next >= width {
            break;
        }
        used += next;
        out.push(c);
    }
    out + look.more()
}

/// `text` in a cell of `width` columns.
fn cell(text: &str, width: usize, right: bool, look: TopLook) -> String {
    let text = cut(text, width, look);
    let pad = " ".repeat(width.saturating_sub(Span::raw(text.as_str()).width()));
    if right { pad + &text } else { text + &pad }
}

fn title(state: &TopState, brush: Brush, width: u16) -> Line<'static> {
    let bar = brush.look.bar();
    let host = if width < 100 { String::new() } else { format!("{}  ", state.host) };
    let mut spans = vec![Span::styled(format!("iapeer top  {host}"), bar.add_modifier(Modifier::BOLD))];
    // In the order of importance: a narrow terminal cuts the last words.
    let mut words = if !state.filter.is_empty() || state.only_trouble {
        let filter = if state.filter.is_empty() { String::new() } else { format!(" \"{}\"", state.filter) };
        let trouble = if state.only_trouble { " trouble" } else { "" };
        vec![format!("{} of {} shown:{trouble}{filter}", state.shown().len(), state.rows.len())]
    } else {
        vec![format!("{} peer{}", state.rows.len(), if state.rows.len() == 1 { "" } else { "s" })]
    };
    if let Some((owner, unread)) = state.owner.as_ref().filter(|(_, unread)| *unread > 0) {
        words.push(format!("{unread} unread for {owner}"));
    }
    let waiting: usize = state.rows.iter().filter(|row| !row.has_inbox).map(|row| row.queue).sum();
    if waiting > 0 {
        words.push(format!("{waiting} queued"));
    }
    words.extend(AttentionState::ALL.into_iter().filter_map(|kind| {
        let count = state.rows.iter().filter(|row| row.state == kind).count();
        (count > 0).then(|| format!("{count} {kind}"))
    }));
    let time = brush.now.local_time();
    let left = usize::from(width).saturating_sub(spans[0].width() + time.len() + 1);
    spans.push(Span::styled(cell(&words.join(", "), left, false, brush.look), bar));
    spans.push(Span::styled(format!(" {time}"), bar));
    Line::from(spans)
}

fn table(frame: &mut Frame<'_>, state: &TopState, area: Rect, brush: Brush) {
    let shown = state.shown();
    let longest = |part: &dyn Fn(&TopRow) -> usize| state.rows.iter().map(part).max().unwrap_or(0);
    let names = longest(&|row| row.identity.personality().as_str().len());
    let runtimes = longest(&|row| row.identity.runtime().as_str().len());
    let columns = columns(usize::from(area.width), names, runtimes);
    let mut lines = Vec::new();
    let header: Vec<String> =
        columns.iter().map(|(column, width)| cell(column.header(), *width, column.is_number(), brush.look)).collect();
    lines.push(Line::styled(header.join(" "), brush.look.header()));
    let selected = state.selected().map(|(at, _)| at);
    let rows = usize::from(area.height).saturating_sub(1);
    for (at, row) in shown.iter().enumerate().skip(state.first).take(rows) {
        let mut spans = Vec::new();
        for (place, (column, width)) in columns.iter().enumerate() {
            let text = cell(&column.cell(row, brush.now), *width, column.is_number(), brush.look);
            let style = if column.header() == "STATE" { brush.look.state(row.state) } else { Style::new() };
            spans.push(Span::raw(if place == 0 { "" } else { " " }));
            spans.push(Span::styled(text, style));
        }
        let line = Line::from(spans);
        let filled = usize::from(area.width).saturating_sub(line.width());
        let line = if selected == Some(at) {
            let mut line = line;
            line.push_span(Span::raw(" ".repeat(filled)));
            line.patch_style(brush.look.bar())
        } else {
            line
        };
        lines.push(line);
    }
    if shown.is_empty() && rows > 0 {
        let why = match (&state.trouble, state.rows.is_empty()) {
            (Some(trouble), _) => trouble.clone(),
            (None, true) => "no peers registered: `iapeer create NAME` makes one".to_owned(),
            (None, false) => "no peer is shown: / and Esc drop the filter, ! shows all".to_owned(),
        };
        lines.push(Line::raw(cut(&why, usize::from(area.width), brush.look)));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The line about the selected peer.
fn about(state: &TopState, brush: Brush, width: u16) -> Line<'static> {
    let look = brush.look;
    let Some((_, row)) = state.selected() else {
        return Line::styled(look.rule().repeat(usize::from(width)), Style::new());
    };
    let since = row.since.map(|at| format!(" for {}", age(brush.now, at))).unwrap_or_default();
    let name = format!(" {} ({})  ", row.identity.personality(), row.identity.runtime());
    let what = match (&row.text, &row.until) {
        (Some(text), Some(until)) => format!("  {text} (until {until})"),
        (Some(text), None) => format!("  {text}"),
        (None, _) => format!("  {}", row.description),
    };
    let answers = state.details.as_ref().filter(|details| details.of == row.identity);
    let answers = answers.and_then(|details| details.wait.as_ref());
    let answers = answers.map(|wait| format!("  [{}]: y answers", wait.answers.join("|"))).unwrap_or_default();
    let bar = look.bar();
    let head = [
        Span::styled(name, bar.add_modifier(Modifier::BOLD)),
        Span::styled(format!("{}{since}", row.state), bar.patch(look.state(row.state)).remove_modifier(Modifier::DIM)),
    ];
    let used: usize = head.iter().map(Span::width).sum();
    let left = usize::from(width).saturating_sub(used);
    // The possible answers stay visible, however long the text is.
    let what = cut(&what, left.saturating_sub(answers.len()), look);
    let rest = cell(&format!("{what}{answers}"), left, false, look);
    Line::from_iter(head.into_iter().chain([Span::styled(rest, bar)]))
}

fn draw_pane(frame: &mut Frame<'_>, state: &TopState, pane: Pane, at: TopArea, brush: Brush) {
    let look = brush.look;
    let selected = state.selected().map(|(_, row)| row);
    let details = selected.and_then(|row| state.details.as_ref().filter(|details| details.of == row.identity));
    let is_person = selected.is_some_and(|row| row.has_inbox);
    let name = match pane {
        Pane::All | Pane::Screen if is_person => "inbox",
        Pane::All | Pane::Screen => "screen",
        Pane::Queue => "queue",
        Pane::Events => "events",
    };
    let width = usize::from(at.width);
    let (lines, empty): (Vec<String>, &str) = match (details, pane) {
        (None, _) if selected.is_none() => (Vec::new(), ""),
        (None, _) => (vec![format!("reading{}", look.more())], ""),
        (Some(details), Pane::All | Pane::Screen) => (or_why(&details.screen), "(nothing)"),
        (Some(details), Pane::Queue) => (or_why(&details.queue), "nothing waits"),
        (Some(details), Pane::Events) => (details.events.clone(), "nothing in the newest lines of the logs"),
    };
    let count = if pane == Pane::Queue && !lines.is_empty() { format!(" ({})", lines.len()) } else { String::new() };
    let more = if state.roomy { "" } else { ", Tab: next" };
    let title = format!("{0}{0} {name}{count}{more} ", look.rule());
    let fill = look.rule().repeat(width.saturating_sub(Span::raw(title.as_str()).width()));
    let mut drawn = vec![Line::styled(title + &fill, look.header())];
    let rows = usize::from(at.height).saturating_sub(1);
    let lines = if lines.len() > rows && pane != Pane::Queue { without_gaps(lines) } else { lines };
    // Where not all lines fit, the end of a screen and of the events is shown, but the head of a queue.
    let skip = if pane == Pane::Queue { 0 } else { lines.len().saturating_sub(rows) };
    drawn.extend(lines.iter().skip(skip).take(rows).map(|line| Line::raw(cut(line, width, look))));
    if lines.is_empty() {
        drawn.push(Line::raw(empty));
    }
    frame.render_widget(Paragraph::new(drawn), rect(at));
}

/// Reduces several blank lines in a row to one: on a screen that does not fit they would take the place of its text.
fn without_gaps(mut lines: Vec<String>) -> Vec<String> {
    lines.dedup_by(|line, before| line.trim().is_empty() && before.trim().is_empty());
    lines
}

fn or_why(lines: &Result<Vec<String>, String>) -> Vec<String> {
    lines.clone().unwrap_or_else(|why| vec![why])
}

fn foot(state: &TopState, brush: Brush, width: u16) -> Line<'static> {
    let (look, width) = (brush.look, usize::from(width));
    let fresh = state.said.as_ref().filter(|(_, _, at)| brush.now.0.saturating_sub(at.0) < SAID_FOR_MS);
    match (state.running.last(), fresh) {
        (Some(errand), _) => Line::styled(cell(&errand.progress(), width, false, look), look.header()),
        (None, Some((text, bad, _))) => {
            let style = if *bad { look.bad() } else { look.header() };
            Line::styled(cell(text, width, false, look), style)
        }
        (None, None) => match state.trouble.as_ref().filter(|_| !state.rows.is_empty()) {
            Some(trouble) => Line::styled(cell(trouble, width, false, look), look.bad()),
            None => Line::styled(cell(&hints(width), width, false, look), look.bar()),
        },
    }
}

fn draw_popup(frame: &mut Frame<'_>, popup: &Popup, look: TopLook) {
    let area = frame.area();
    let (title, lines, chosen) = popup.content();
    let inner_width = usize::from(area.width).saturating_sub(6).clamp(1, 110);
    let wrapped: usize = lines.iter().map(|line| Span::raw(line).width().div_ceil(inner_width).max(1)).sum();
    let height = u16::try_from(wrapped + 2).unwrap_or(u16::MAX).min(area.height.saturating_sub(2)).max(3);
    let width = u16::try_from(inner_width + 2).unwrap_or(u16::MAX);
    let (left, above) = (area.width.saturating_sub(width) / 2, area.height.saturating_sub(height) / 2);
    let at = Rect { x: left, y: above, width, height }.intersection(area);
    let mut block = Block::bordered().title(cut(&format!(" {title} "), inner_width, look)).style(Style::new());
    if !look.unicode {
        block = block.border_set(PLAIN_BORDER);
    }
    let clean = |line: &str| line.chars().map(|c| if steers(c) { '·' } else { c }).collect::<String>();
    let mut text: Vec<Line<'_>> = lines.iter().map(|line| Line::raw(clean(line))).collect();
    if let Some(line) = chosen.and_then(|at| text.get_mut(at)) {
        *line = std::mem::take(line).patch_style(look.bar());
    }
    if let Popup::Writing { .. } = popup
        && let Some(line) = text.last_mut()
    {
        line.push_span(Span::styled(" ", look.bar()));
    }
    let rows = usize::from(at.height).saturating_sub(2);
    // The line that is chosen, or being written, stays visible.
    let needed = match (popup, chosen) {
        (Popup::Writing { purpose, .. }, _) if *purpose != Purpose::Filter => wrapped.saturating_sub(rows),
        (_, Some(chosen)) => (chosen + 1).saturating_sub(rows),
        _ => popup.first_line().min(wrapped.saturating_sub(rows)),
    };
    let needed = u16::try_from(needed).unwrap_or(u16::MAX);
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).scroll((needed, 0)).block(block), at);
}

/// A border for terminals that have no line characters.
const PLAIN_BORDER: ratatui::symbols::border::Set<'static> = ratatui::symbols::border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};
