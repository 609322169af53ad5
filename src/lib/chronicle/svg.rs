//! The timeline as SVG that loads nothing and runs no script. Each mark has a title, which browsers show under the
//! pointer.

use crate::base::clock::EpochMs;
use crate::base::xml::escaped;
use crate::chronicle::story::{SessionBar, WaitSpan};
use crate::chronicle::text::{most, ticks};
use crate::chronicle::timeline::{Lane, MessageMark, Timeline};
use crate::chronicle::usage_table::{TOKEN_COLUMNS, amount, token_counts};
use crate::runtime::Tokens;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

const WIDTH: u64 = 1340;
const LEFT: u64 = 170;
const TOP: u64 = 56;
const LANE: u64 = 24;
const DEPTH: u64 = 56;
/// The width of a column of tokens.
const COUNT: u64 = 50;
const PLOT: u64 = WIDTH - LEFT - 20 - COUNT * TOKEN_COLUMNS.len() as u64;
/// Up to this number of messages, each is drawn as a line from sender to recipient; more lines would hide the lanes.
const LINES_MAX: usize = 400;

/// The colors in light and dark mode; `currentColor` is that of text.
const STYLE: &str = "\
svg{font:12px system-ui,sans-serif;background:#fff;color:#1f2328}\
text{fill:currentColor}.dim{opacity:.6}.grid{stroke:currentColor;opacity:.14}\
.fresh{fill:#4c8bf5}.resumed{fill:#2aa198}.worker{fill:#9a6fe0}.unseen{fill:#8c959f}\
.session{opacity:.45}.turn{fill:#1a7f37}.wait{fill:#e3a008}.limited{fill:#c27803;opacity:.7}\
.died{fill:#d1242f}.death{stroke:#d1242f;stroke-width:2.5;fill:none}\
.slept,.done{fill:#6e7781}.stopped,.renewed{fill:#24292f}\
.message{fill:#0550ae}.lost{fill:#d1242f}.way{stroke:#0550ae;opacity:.35}.depth{fill:#8250df;opacity:.5}\
@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.stopped,.renewed{fill:#e6edf3}\
.message{fill:#79c0ff}.way{stroke:#79c0ff}.turn{fill:#3fb950}}";

/// The picture.
pub fn svg(timeline: &Timeline) -> String {
    let height = TOP + LANE * timeline.lanes.len() as u64 + DEPTH + 60;
    let mut out = String::new();
    let x = Across { since: timeline.since.0, length: timeline.length() };
    let mut draw = || -> std::fmt::Result {
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">"
        )?;
        writeln!(out, "<title>Timeline of {} peers</title><style>{STYLE}</style>", timeline.lanes.len())?;
        writeln!(out, "<text x=\"10\" y=\"20\">{} to {}</text>", timeline.since.local(), timeline.until.local())?;
        let bottom = height - 40;
        for (at, label) in ticks(timeline.since.0, timeline.length(), 14) {
            let x = x.of(EpochMs(at));
            writeln!(out, "<line class=\"grid\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\"/>")?;
            writeln!(out, "<text class=\"dim\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", TOP - 8)?;
        }
        for (n, title) in (1..).zip(TOKEN_COLUMNS) {
            let x = LEFT + PLOT + COUNT * n;
            writeln!(out, "<text class=\"dim\" x=\"{x}\" y=\"{}\" text-anchor=\"end\">{title}</text>", TOP - 8)?;
        }
        let rows: HashMap<&str, u64> =
            timeline.lanes.iter().zip(0..).map(|(lane, n)| (lane.identity.as_str(), TOP + LANE * n)).collect();
        ways(&mut out, timeline, &rows, &x)?;
        let mut marks: HashMap<&str, Vec<&MessageMark>> = HashMap::new();
        timeline.messages.iter().for_each(|message| marks.entry(message.to.as_str()).or_default().push(message));
        for lane in &timeline.lanes {
            let marks = marks.get(lane.identity.as_str()).map(Vec::as_slice).unwrap_or_default();
            draw_lane(&mut out, lane, marks, rows[lane.identity.as_str()], &x)?;
        }
        let mut total = Tokens::default();
        timeline.lanes.iter().for_each(|lane| total.add(lane.tokens));
        draw_tokens(&mut out, "all", total, TOP + LANE * timeline.lanes.len() as u64)?;
        draw_depth(&mut out, timeline, TOP + LANE * timeline.lanes.len() as u64 + 14)?;
        legend(&mut out, height - 14)?;
        writeln!(out, "</svg>")
    };
    // Writing to a String can't fail.
    let _ = draw();
    out
}

/// Converts times to horizontal positions, in tenths of a pixel.
struct Across {
    since: u64,
    length: u64,
}

impl Across {
    fn tenths(&self, at: EpochMs) -> u64 {
        let into = at.0.saturating_sub(self.since).min(self.length);
        LEFT * 10 + (into as u128 * u128::from(PLOT) * 10 / u128::from(self.length)) as u64
    }

    fn of(&self, at: EpochMs) -> String {
        pixels(self.tenths(at))
    }

    fn width(&self, from: EpochMs, to: EpochMs) -> String {
        pixels(self.tenths(to).saturating_sub(self.tenths(from)).max(10))
    }
}

fn pixels(tenths: u64) -> String {
    if tenths.is_multiple_of(10) { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

fn draw_lane(out: &mut String, lane: &Lane, messages: &[&MessageMark], y: u64, x: &Across) -> std::fmt::Result {
    writeln!(out, "<g class=\"lane\"><text x=\"10\" y=\"{}\">{}</text>", y + 15, escaped(&lane.identity))?;
    writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{0}\" x2=\"{1}\" y2=\"{0}\"/>", y + LANE, LEFT + PLOT)?;
    for bar in merged(&lane.story.sessions, x, |bar| (bar.from, bar.to)) {
        session(out, bar.0, bar.1, y, x)?;
    }
    for (turn, more) in merged(&lane.turns, x, |turn| *turn) {
        let title = titled("turn", turn.0, turn.1, more);
        rect(out, "turn", (turn.0, turn.1), (y + 7, 8), x, &title)?;
    }
    for (wait, more) in merged(&lane.story.waits, x, |wait: &WaitSpan| (wait.from, wait.to)) {
        let class = if wait.state == crate::base::AttentionState::Limited { "limited" } else { "wait" };
        let title = titled(&format!("waits: {}", wait.state), wait.from, wait.to, more);
        rect(out, class, (wait.from, wait.to), (y + 3, 4), x, &title)?;
    }
    for (message, more) in merged(messages, x, |message| {
        let at = message.settled.unwrap_or(message.accepted);
        (at, at)
    }) {
        mark(out, message, more, y, x)?;
    }
    for death in &lane.story.deaths {
        let (at, top) = (x.tenths(death.at), y + 4);
        let (left, right) = (pixels(at.saturating_sub(50)), pixels(at + 50));
        writeln!(
            out,
            "<g class=\"death\"><title>died: {} {}</title><path d=\"M{left} {top}L{right} {2}M{right} {top}L{left} {2}\"/></g>",
            escaped(&death.cause),
            death.at.local(),
            top + 12
        )?;
    }
    draw_tokens(out, &lane.identity, lane.tokens, y)?;
    writeln!(out, "</g>")
}

/// The tokens that `whose` sent, read from a cache and answered, to the right of the lane at `y`.
fn draw_tokens(out: &mut String, whose: &str, tokens: Tokens, y: u64) -> std::fmt::Result {
    let counts = token_counts(tokens);
    let told: Vec<String> = counts.iter().zip(TOKEN_COLUMNS).map(|(count, title)| format!("{count} {title}")).collect();
    write!(out, "<g class=\"tokens\"><title>tokens of {}: {}</title>", escaped(whose), told.join(", "))?;
    for (n, count) in (1..).zip(counts) {
        let x = LEFT + PLOT + COUNT * n;
        write!(out, "<text x=\"{x}\" y=\"{}\" text-anchor=\"end\">{}</text>", y + 15, amount(count))?;
    }
    writeln!(out, "</g>")
}

fn session(out: &mut String, bar: &SessionBar, more: usize, y: u64, x: &Across) -> std::fmt::Result {
    let cause = bar.cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let what = format!("session: {}{cause}, {}", bar.began, bar.finish);
    let title = titled(&what, bar.from, bar.to, more);
    rect(out, &format!("session {}", bar.began), (bar.from, bar.to), (y + 4, 14), x, &title)?;
    if bar.finish != crate::chronicle::story::Finish::Runs {
        let at = pixels(x.tenths(bar.to).saturating_sub(20));
        writeln!(out, "<rect class=\"{}\" x=\"{at}\" y=\"{}\" width=\"2\" height=\"14\"/>", bar.finish, y + 4)?;
    }
    Ok(())
}

fn mark(out: &mut String, message: &MessageMark, more: usize, y: u64, x: &Across) -> std::fmt::Result {
    let at = x.tenths(message.settled.unwrap_or(message.accepted));
    let (left, mid, right) = (pixels(at.saturating_sub(35)), pixels(at), pixels(at + 35));
    let outcome = message.outcome.map_or("waits", |outcome| outcome.as_str());
    let class = if outcome == "dead" { "lost" } else { "message" };
    let re = message.re.as_ref().map(|re| format!(", answers {re}")).unwrap_or_default();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    writeln!(
        out,
        "<path class=\"{class}\" d=\"M{left} {0}L{right} {0}L{mid} {1}Z\"><title>message {2} from {3}: {outcome}{4}{more}</title></path>",
        y + 1,
        y + 7,
        escaped(&message.id),
        escaped(&message.from),
        escaped(&re)
    )
}

/// Draws a line for each message from the sender's lane to the recipient's, unless there are too many.
fn ways(out: &mut String, timeline: &Timeline, rows: &HashMap<&str, u64>, x: &Across) -> std::fmt::Result {
    if timeline.messages.len() > LINES_MAX {
        return Ok(());
    }
    writeln!(out, "<g class=\"ways\">")?;
    for message in &timeline.messages {
        let (Some(from), Some(to)) = (rows.get(message.from.as_str()), rows.get(message.to.as_str())) else { continue };
        let (begin, end) = (x.of(message.accepted), x.of(message.settled.unwrap_or(message.accepted)));
        writeln!(out, "<line class=\"way\" x1=\"{begin}\" y1=\"{}\" x2=\"{end}\" y2=\"{}\"/>", from + 11, to + 4)?;
    }
    writeln!(out, "</g>")
}

/// Merges things that begin and end in the same pixels: the first one, and the number of the others.
fn merged<'t, T>(things: &'t [T], x: &Across, when: impl Fn(&T) -> (EpochMs, EpochMs)) -> Vec<(&'t T, usize)> {
    let mut at: BTreeMap<(u64, u64), (&T, usize)> = BTreeMap::new();
    for thing in things {
        let (from, to) = when(thing);
        let pixels = (x.tenths(from) / 10, x.tenths(to) / 10);
        at.entry(pixels).and_modify(|(_, more)| *more += 1).or_insert((thing, 0));
    }
    at.into_values().collect()
}

fn titled(what: &str, from: EpochMs, to: EpochMs, more: usize) -> String {
    let secs = to.since(from).as_secs();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{what}, {} for {secs} s{more}", from.local())
}

fn rect(
    out: &mut String,
    class: &str,
    (from, to): (EpochMs, EpochMs),
    (y, height): (u64, u64),
    x: &Across,
    title: &str,
) -> std::fmt::Result {
    let (left, width) = (x.of(from), x.width(from, to));
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{}</title></rect>",
        escaped(title)
    )
}

fn draw_depth(out: &mut String, timeline: &Timeline, y: u64) -> std::fmt::Result {
    let most = most(timeline, PLOT as usize);
    let top = most.iter().copied().max().unwrap_or(0);
    writeln!(out, "<text x=\"10\" y=\"{}\">queues (most: {top})</text>", y + 20)?;
    write!(out, "<path class=\"depth\" d=\"M{LEFT} {}", y + DEPTH)?;
    let mut last = None;
    for (count, at) in most.iter().zip(LEFT..) {
        let high = y + DEPTH - (count * DEPTH).checked_div(top.max(1)).unwrap_or(0);
        // A line of steps needs a point only where the height changes.
        if last != Some(high) {
            write!(out, "H{at}V{high}")?;
            last = Some(high);
        }
    }
    writeln!(out, "H{}V{}Z\"><title>messages that waited, {top} at most</title></path>", LEFT + PLOT, y + DEPTH)
}

fn legend(out: &mut String, y: u64) -> std::fmt::Result {
    let entries = [
        ("session fresh", "fresh session"),
        ("session resumed", "resumed"),
        ("session worker", "worker"),
        ("turn", "turn"),
        ("wait", "waits for somebody"),
        ("limited", "limit"),
        ("died", "died"),
        ("slept", "put to sleep, done"),
        ("stopped", "stopped, renewed"),
        ("message", "message"),
    ];
    let mut x = LEFT;
    for (class, text) in entries {
        writeln!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\"/>", y - 9)?;
        writeln!(out, "<text x=\"{}\" y=\"{y}\">{text}</text>", x + 14)?;
        x += 24 + 6 * text.len() as u64;
    }
    Ok(())
}
