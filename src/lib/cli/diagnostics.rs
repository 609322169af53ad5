//! Diagnostics: the events of `tracing`, one line each on stderr.
//!
//! Only the level can be chosen. A formatting library would make every program two percent larger.

use crate::base::exit::one_line;
use crate::base::output;
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Prints the events down to `level` from now on, of all threads. A second call changes nothing.
pub(super) fn print(level: LevelFilter) {
    let _ = tracing::subscriber::set_global_default(Printer { level });
}

struct Printer {
    level: LevelFilter,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        output::complain(&line(event));
    }

    // Only the MCP library has spans, and its events contain the same information.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The level, the message, and the fields as `name=value`, without control characters.
fn line(event: &Event<'_>) -> String {
    let mut fields = Fields(String::new());
    event.record(&mut fields);
    format!("{:>5} {}", event.metadata().level(), one_line(&fields.0))
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a `String` never fails.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// Keeps the lines that a [`Printer`] would print.
    struct Keeper(Printer);

    impl Subscriber for Keeper {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            self.0.enabled(metadata)
        }
        fn event(&self, event: &Event<'_>) {
            SEEN.lock().unwrap().push(line(event));
        }
        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            self.0.new_span(attributes)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn an_event_is_a_line_with_its_level_and_fields() {
        tracing::subscriber::with_default(Keeper(Printer { level: LevelFilter::INFO }), || {
            tracing::warn!("bob: no\nroom \x1b[31mat all");
            tracing::info!(count = 2, name = "x", "seen");
            let _span = tracing::info_span!("inside").entered();
            tracing::error!("last");
            tracing::debug!("not wanted");
        });
        let seen = SEEN.lock().unwrap();
        assert_eq!(*seen, [" WARN bob: no room \\u{1b}[31mat all", " INFO seen count=2 name=\"x\"", "ERROR last"]);
    }
}
