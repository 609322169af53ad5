//! The ways in which messages go into a session: by the program's own server or file, or typed.

use crate::base::words::words;

words! {
    /// A way by which messages go into a session.
    pub enum DeliveryKind {
        /// By the program's own app-server, beside the terminal: nothing is typed.
        AppServer = "app-server",
        /// By the program's own HTTP server on the loopback interface: nothing is typed.
        Http = "http",
        /// By a file that the program reads while it runs: nothing is typed.
        File = "file",
        /// Typed into the composer.
        Type = "type",
    }
}

impl DeliveryKind {
    /// All of them, the best first.
    pub const ALL: [DeliveryKind; 4] =
        [DeliveryKind::AppServer, DeliveryKind::Http, DeliveryKind::File, DeliveryKind::Type];
}
