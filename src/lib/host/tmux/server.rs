//! One tmux server with one session.

use super::survey::{LOOK, PaneLook, Survey};
use super::{Input, Key, Tmux, TmuxError};
use crate::host::ProcessId;
use crate::host::spawn::shell_quoted;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Scrollback kept per pane: a redraw storm must not grow the server without bound.
const HISTORY: &str = "5000";
/// Window size: a named session's default of 80×24 breaks some agents.
const SIZE: [&str; 4] = ["-x", "220", "-y", "50"];

/// tmux numbers windows and panes from the server's start, and a server has one session, which the agent begins.
const AGENT_PANE: &str = "%0";
/// A session's server.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    pub(crate) tmux: &'a Tmux,
    pub(crate) socket: PathBuf,
    session: String,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct StartSpec {
    /// The working folder.
    pub cwd: PathBuf,
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment of server and session.
    pub env: Vec<(OsString, OsString)>,
    /// Where the pane's raw stream is appended.
    pub pane_log: Option<PathBuf>,
    /// What the server runs when the pane's program ends: a program of ours by absolute path, and its arguments, in
    /// which tmux formats such as `#{pane_dead_status}` are filled in.
    pub on_exit: Vec<String>,
    /// Where a command that ends the session writes itself down before it does: `COMMAND pid=N`.
    pub killed_by: Option<PathBuf>,
}

/// A session that has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The server.
    pub server: ProcessId,
    /// The first process of its pane, unless it has ended already.
    pub pane: Option<ProcessId>,
}

impl Started {
    fn of(look: &PaneLook) -> Result<Started, TmuxError> {
        let server = ProcessId::of(look.server_pid).ok_or_else(|| start_error("the new server is gone already"))?;
        Ok(Started { server, pane: look.pane_pid.and_then(ProcessId::of) })
    }
}

fn start_error(message: &str) -> TmuxError {
    TmuxError::Other { call: "new-session".into(), message: message.into() }
}

/// A buffer name that nobody else uses.
fn next_buffer() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("iap-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Tmux {
    /// The server on `socket` that holds the session `session`.
    pub fn server(&self, socket: &Path, session: &str) -> Server<'_> {
        Server { tmux: self, socket: socket.to_owned(), session: session.to_owned() }
    }
}

impl Server<'_> {
    /// `=ID`: exactly this session; without `=` tmux takes any that begins so.
    pub(crate) fn session_target(&self) -> String {
        format!("={}", self.session)
    }

    /// The pane that the session was started with, whatever windows somebody has opened beside it.
    fn pane_target(&self) -> String {
        format!("={}:@0.{AGENT_PANE}", self.session)
    }

    fn call(&self, words: &[&str]) -> Result<String, TmuxError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        self.tmux.call(&self.socket, None, &words, None)
    }

    /// Starts the server with its one session, and everything it needs, in one tmux process. A leftover socket file
    /// does not matter; a session that lives is an error of its own.
    pub fn start(&self, spec: &StartSpec) -> Result<Started, TmuxError> {
        let mut words = self.start_words(spec)?;
        words.extend([";", "display-message", "-p", "-t", &self.pane_target(), LOOK].map(OsString::from));
        let said = self.tmux.call(&self.socket, Some(&spec.env), &words, None).map_err(|error| match error {
            // A session that ended while it was being set up takes its target along.
            TmuxError::NoSession => start_error("the session ended at once"),
            error => error,
        })?;
        let mut lines = said.lines();
        let look = PaneLook::parse(lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
            .ok_or_else(|| start_error("tmux said nothing about the new session"))?;
        Started::of(&look)
    }

    /// The command line that does what [`Server::start`] does, for somebody else to run with `spec.env`. What became
    /// of it is asked by [`Server::started`].
    pub fn start_command(&self, spec: &StartSpec) -> Result<Vec<OsString>, TmuxError> {
        let mut command = self.tmux.command_line(&self.socket);
        command.extend(self.start_words(spec)?);
        Ok(command)
    }

    /// The processes of a session that somebody else has just started.
    pub fn started(&self) -> Result<Started, TmuxError> {
        let look = self.look().map_err(|error| match error {
            TmuxError::NoSession | TmuxError::NoServer => start_error("the session ended at once"),
            error => error,
        })?;
        Started::of(&look)
    }

    fn start_words(&self, spec: &StartSpec) -> Result<Vec<OsString>, TmuxError> {
        let other = start_error;
        if let Some(dir) = self.socket.parent() {
            crate::base::paths::create_dirs(dir).map_err(|failure| other(&failure.message))?;
        }
        let pane = self.pane_target();
        let mut words: Vec<OsString> = Vec::new();
        let mut command = |list: &[&str]| {
            if !words.is_empty() {
                words.push(";".into());
            }
            words.extend(list.iter().map(OsString::from));
        };
        command(&["start-server"]);
        command(&["set-option", "-s", "escape-time", "0"]);
        command(&["set-option", "-s", "exit-empty", "on"]);
        command(&["set-option", "-s", "extended-keys", "off"]);
        command(&["set-option", "-g", "history-limit", HISTORY]);
        command(&["set-option", "-g", "remain-on-exit", "on"]);
        if let Some(path) = &spec.killed_by {
            // tmux would make it for everybody to read. Without a trail a session is as good.
            let _ = private_file(path);
        }
        for (at, name) in ["kill-server", "kill-session", "kill-window", "kill-pane"].iter().enumerate() {
            if let Some(path) = &spec.killed_by {
                command(&["set-option", "-s", &format!("command-alias[{}]", 100 + at), &telling_alias(name, path)]);
            }
        }
        command(&["new-session", "-d", "-s", &self.session, SIZE[0], SIZE[1], SIZE[2], SIZE[3], "-c"]);
        words.push(spec.cwd.clone().into());
        // tmux sets TMUX for the pane's program; an agent has no business with it.
        words.extend(["--", "env", "-u", "TMUX", "-u", "TMUX_PANE"].map(OsString::from));
        words.extend(spec.argv.iter().map(escape_semicolon));
        let mut command = |list: &[&str]| {
            words.push(";".into());
            words.extend(list.iter().map(OsString::from));
        };
        let hook = spec.on_exit.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" ");
        if !hook.is_empty() {
            let ours = format!("#{{==:#{{hook_pane}},{AGENT_PANE}}}");
            let hook = format!("if-shell -F '{ours}' {{ run-shell -b {} }}", tmux_quoted(&hook));
            command(&["set-hook", "-g", "pane-died", &hook]);
        }
        if let Some(log) = &spec.pane_log {
            private_file(log).map_err(|error| other(&format!("cannot open {}: {error}", log.display())))?;
            let path = shell_quoted(&log.to_string_lossy()).replace('#', "##");
            command(&["pipe-pane", "-O", "-t", &pane, &format!("exec cat >> {path}")]);
        }
        Ok(words)
    }

    /// One look at the session.
    pub fn look(&self) -> Result<PaneLook, TmuxError> {
        let said = self.call(&["display-message", "-p", "-t", &self.pane_target(), LOOK])?;
        let mut lines = said.lines();
        // display-message without its target answers with empty formats and status 0.
        PaneLook::parse(lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
            .filter(|look| look.token != ":")
            .ok_or(TmuxError::NoSession)
    }

    /// A look, the attached terminals and the screen, with its SGR sequences where `styled`.
    pub fn survey(&self, styled: bool) -> Result<Survey, TmuxError> {
        let said = self.tmux.call(&self.socket, None, &self.survey_words(styled), None)?;
        Survey::parse(&said)
    }

    fn survey_words(&self, styled: bool) -> Vec<OsString> {
        let (pane, session) = (self.pane_target(), self.session_target());
        let mut words = vec!["has-session", "-t", &session, ";", "display-message", "-p", "-t", &pane, LOOK, ";"];
        words.extend(["list-clients", "-t", &session, "-F", "client|#{client_activity}|#{client_name}", ";"]);
        words.extend(["display-message", "-p", "screen", ";", "capture-pane", "-p", "-t", &pane]);
        if styled {
            words.push("-e");
        }
        words.iter().map(OsString::from).collect()
    }

    /// Pastes `input`, bracketed, by way of stdin and a buffer. In one command sequence: copy mode is left, a dead pane
    /// or one that stays in a mode is refused (pasting into a dead pane crashes tmux before 3.4, measured).
    pub fn paste(&self, input: &Input<'_>) -> Result<(), TmuxError> {
        let buffer = next_buffer();
        let said = self
            .tmux
            .call(&self.socket, None, &self.paste_words(&buffer, input, None), Some(input.text.as_bytes()))
            .inspect_err(|_| self.delete_buffer(&buffer))?;
        self.done(&said)
    }

    /// A survey and, if `decide` says so, a paste with `then` pressed behind it, in one tmux process: between what was
    /// seen and what is typed there is next to no time, for a person at the keyboard as for us. Says whether it typed.
    ///
    /// tmux answers the survey and then waits for the text; its other clients don't notice. Where none comes, because
    /// `decide` declined or this process was killed, nothing happens in the session. An error before `decide` was asked
    /// means that nothing was typed.
    pub fn survey_and_paste(
        &self,
        input: &Input<'_>,
        then: Option<&Key>,
        decide: &mut dyn FnMut(Survey) -> bool,
    ) -> Result<bool, TmuxError> {
        let buffer = next_buffer();
        let end = format!("end-of-survey {buffer}");
        let mut words = self.survey_words(true);
        words.extend([";", "display-message", "-p", &end, ";"].map(OsString::from));
        words.extend(self.paste_words(&buffer, input, then));
        let end = format!("{end}\n");
        let (mut wanted, mut bad) = (None, None);
        let said = self.tmux.converse(
            &self.socket,
            None,
            &words,
            Some(&mut |said| {
                let text = String::from_utf8_lossy(said.strip_suffix(end.as_bytes())?);
                let go = match Survey::parse(&text) {
                    Ok(survey) => decide(survey),
                    Err(error) => {
                        bad = Some(error);
                        false
                    }
                };
                wanted = Some(go);
                Some(if go { input.text.as_bytes() } else { &[] })
            }),
        );
        match (bad, wanted) {
            (Some(error), _) => Err(error),
            // That there is no buffer is tmux's error and no news.
            (None, Some(false)) => Ok(false),
            (None, None) => said.and(Err(TmuxError::NoSession)),
            (None, Some(true)) => {
                let said = said.inspect_err(|_| self.delete_buffer(&buffer))?;
                let (_, answer) = said.rsplit_once(&end).unwrap_or_default();
                self.done(answer).map(|()| true)
            }
        }
    }

    /// Loads `buffer` from stdin and pastes it, unless the pane must not be typed into; `then` is pressed behind it.
    ///
    /// An empty stdin makes no buffer, and giving it its name is then an error, which ends the sequence: nobody is
    /// thrown out of copy mode for nothing.
    fn paste_words(&self, buffer: &str, input: &Input<'_>, then: Option<&Key>) -> Vec<OsString> {
        let pane = self.pane_target();
        let flags = if input.router { "-p -r -d" } else { "-p -d" };
        let refuse = format!("{REFUSE} ; delete-buffer -b {buffer}");
        let press = then.map(|key| format!(" ; send-keys -t '{pane}' -- {}", tmux_quoted(&key.0))).unwrap_or_default();
        let paste = format!("paste-buffer {flags} -b {buffer} -t '{pane}'{press} ; display-message -p done");
        let leave = format!("send-keys -t '{pane}' -X cancel");
        let loaded = format!("{buffer}-in");
        let mut words = vec!["load-buffer", "-b", &loaded, "-", ";", "set-buffer", "-b", &loaded, "-n", buffer, ";"];
        words.extend(["if-shell", "-F", "-t", &pane, "#{pane_in_mode}", &leave, ";"]);
        words.extend(["if-shell", "-F", "-t", &pane, BLOCKED, &refuse, &paste]);
        words.iter().map(OsString::from).collect()
    }

    /// After a failure a buffer may have stayed; a server that is gone took it along.
    fn delete_buffer(&self, buffer: &str) {
        let _ = self.call(&["delete-buffer", "-b", buffer]);
    }

    /// Presses keys, guarded like a paste.
    pub fn keys(&self, keys: &[Key]) -> Result<(), TmuxError> {
        let pane = self.pane_target();
        let names: Vec<String> = keys.iter().map(|key| tmux_quoted(&key.0)).collect();
        let press = format!("send-keys -t '{pane}' -- {} ; display-message -p done", names.join(" "));
        let leave = format!("send-keys -t '{pane}' -X cancel");
        let words = [
            "if-shell",
            "-F",
            "-t",
            &pane,
            "#{pane_in_mode}",
            &leave,
            ";",
            "if-shell",
            "-F",
            "-t",
            &pane,
            BLOCKED,
            REFUSE,
            &press,
        ];
        let said = self.call(&words)?;
        self.done(&said)
    }

    fn done(&self, said: &str) -> Result<(), TmuxError> {
        match said.trim() {
            "done" => Ok(()),
            "refused 1" => Err(TmuxError::PaneDead),
            "refused 0" => Err(TmuxError::InMode),
            // if-shell with a target that is not there runs neither branch.
            "" => Err(TmuxError::NoSession),
            text => Err(TmuxError::Other { call: "if-shell".into(), message: text.to_owned() }),
        }
    }

    /// Ends the session and with it the server.
    pub fn kill(&self) -> Result<(), TmuxError> {
        self.call(&["kill-server"]).map(drop)
    }

    /// Makes a server that lost a SIGCHLD look at its children (tmux 3.3a loses up to 30 % of them with one session).
    ///
    /// In the background: the signal of the poke's own job may be lost too, and the call would hang (measured).
    pub fn poke(&self) -> Result<(), TmuxError> {
        self.call(&["run-shell", "-b", "true"]).map(drop)
    }
}

/// An alias by which the command `name` writes itself to `path` before it runs. The client that runs it does the
/// writing: no child process, whose end tmux might miss. Braces keep an error there from stopping the command itself.
fn telling_alias(name: &str, path: &Path) -> String {
    let path = tmux_quoted(&path.to_string_lossy().replace('#', "##"));
    let note = format!("run-shell -C \"set-buffer -b iap-killed-by '{name} pid=#{{pid}}'\"");
    format!("{name}=if-shell -F 1 {{ {note} ; save-buffer -b iap-killed-by {path} }} ; {name}")
}

/// A pane that must not be typed into.
const BLOCKED: &str = "#{||:#{pane_dead},#{pane_in_mode}}";
/// Says why.
const REFUSE: &str = "display-message -p 'refused #{pane_dead}'";

/// tmux takes a `;` at the end of a word for the end of its command.
fn escape_semicolon(word: &OsString) -> OsString {
    match word.to_str().and_then(|text| text.strip_suffix(';')) {
        Some(start) => format!("{start}\\;").into(),
        None => word.clone(),
    }
}

/// Quoted for tmux's own command parser: in double quotes, where `"`, `\`, `$` and `~` are escaped.
fn tmux_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Makes sure that the log is ours alone before a shell appends to it.
fn private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}
