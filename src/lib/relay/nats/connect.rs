//! The connection to the NATS server, and its state.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::relay::error::RelayError;
use crate::store::nats::NatsFile;
use crate::store::open::{self, Rule};
use async_nats::jetstream::{self, Context};
use async_nats::{ConnectOptions, Event, ServerAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How long one request to the server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The last error that the connection reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    fn note(&self, event: &Event) {
        let said = match event {
            Event::Connected => None,
            Event::Disconnected => Some("the connection to the NATS server is down".to_owned()),
            event => Some(event.to_string()),
        };
        let mut last = self.last();
        // The reason why the connection is down says more than the fact that it is down.
        if said.is_none() || last.is_none() || !matches!(event, Event::Disconnected) {
            *last = said;
        }
    }

    /// Sets what `about` adds: this program knows more than the next error will say.
    pub(crate) fn set(&self, error: String) {
        *self.last() = Some(error);
    }

    fn last(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `why`, with the last error of the connection.
    pub(crate) fn about(&self, why: &dyn std::fmt::Display) -> RelayError {
        RelayError::Away(match &*self.last() {
            Some(said) => format!("NATS: {why} ({said})"),
            None => format!("NATS: {why}"),
        })
    }
}

/// A connection to the NATS server.
pub(crate) struct Connection {
    pub(crate) context: Context,
    pub(crate) complaint: Complaint,
}

/// Connects to the server that `file` names, as the host `own`.
pub(crate) async fn connect(file: &NatsFile, own: &HostName) -> Result<Connection, RelayError> {
    let complaint = Complaint::default();
    let away = |error: &dyn std::fmt::Display| complaint.about(error);
    let addresses: Vec<ServerAddr> =
        file.url.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map_err(|error| away(&error))?;
    let noted = complaint.clone();
    // A prefix of its own for the subjects of answers, so that the server's permissions can let only this host read them.
    let mut options = ConnectOptions::new()
        .name(format!("iapeer-relay of {own}"))
        .custom_inbox_prefix(format!("_INBOX.{own}"))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(Duration::from_secs(10))
        .event_callback(move |event| {
            noted.note(&event);
            async {}
        });
    file.check_secrets()?;
    let there = |path: &Path| {
        let missing = || Failure::io("read", path, &std::io::ErrorKind::NotFound.into());
        open::read(path, Rule::DOCUMENT)?.ok_or_else(missing)
    };
    if let Some(creds) = &file.creds {
        if let Some(unfit) = open::fault(creds, Rule::DOCUMENT) {
            return Err(away(&format!("the credentials {unfit}")));
        }
        let read = options.credentials_file(creds).await;
        options = read.map_err(|error| away(&format!("the credentials {}: {error}", creds.display())))?;
    }
    if let Some(user) = &file.user {
        options = options.user_and_password(user.clone(), file.password.clone().unwrap_or_default());
    }
    if let Some(token) = &file.token {
        options = options.token(token.clone());
    }
    if let Some(path) = &file.nkey {
        options = options.nkey(String::from_utf8_lossy(&there(path)?).trim().to_owned());
    }
    if let Some(ca) = &file.ca {
        // The library's error does not name the missing file.
        there(ca)?;
        options = options.add_root_certificates(ca.clone());
    }
    if file.url.split(',').any(|url| url.trim().starts_with("tls://")) {
        options = options.require_tls(true);
    }
    let client = options.connect(addresses).await.map_err(|error| {
        use std::error::Error;
        let below = error.source().map(|below| format!(": {below}")).unwrap_or_default();
        away(&format!("cannot connect to {}: {error}{below}", file.url))
    })?;
    let context = jetstream::context::ContextBuilder::new().timeout(PATIENCE).ack_timeout(PATIENCE).build(client);
    Ok(Connection { context, complaint })
}
