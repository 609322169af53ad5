//! One tmux server with one session.

use super::quote::{Timed, escape_semicolon, format_escaped, tmux_quoted};
use super::survey::{CLIENT, LOOK, PaneLook, Survey};
use super::{Input, Key, PaneId, Tmux, TmuxError};
use crate::base::shell;
use crate::host::ProcessId;
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many lines of scrollback a pane keeps: endless redrawing must not let the server grow without bound.
const HISTORY: &str = "5000";
/// Window size: a detached session's default of 80×24 breaks some agents.
const SIZE: [&str; 4] = ["-x", "220", "-y", "50"];

/// A session's server.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    pub(crate) tmux: &'a Tmux,
    pub(crate) socket: PathBuf,
    session: String,
    pane: Option<PaneId>,
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
    /// The program that gets the pane's raw output on its standard input: its absolute path, and its arguments.
    pub pane_log: Vec<String>,
    /// The program of ours that the server runs when the pane's program ends: its absolute path, and its arguments.
    pub on_exit: Vec<ExitWord>,
    /// The file to which a tmux command that ends the session first writes `COMMAND pid=N`: its name and its client's
    /// pid.
    pub killed_by: Option<PathBuf>,
}

/// A word of the command that the server runs when the pane's program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitWord {
    /// This text.
    Text(String),
    /// A variable of the environment, set to this text.
    Set(&'static str, String),
    /// An option, and the tmux variable that is its value: `--status=` and `pane_dead_status`.
    Value(&'static str, &'static str),
}

/// A session that has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The server.
    pub server: ProcessId,
    /// The first process of its pane, unless it has ended already.
    pub pane: Option<ProcessId>,
    /// The id of its pane on the server.
    pub pane_id: Option<PaneId>,
}

impl Started {
    fn of(look: &PaneLook) -> Result<Started, TmuxError> {
        let server = ProcessId::of(look.server_pid).ok_or_else(|| start_error("the new server is gone already"))?;
        Ok(Started { server, pane: look.pane_pid.and_then(ProcessId::of), pane_id: look.pane })
    }
}

fn start_error(message: &str) -> TmuxError {
    TmuxError::Other { call: "new-session".into(), message: message.into() }
}

/// A name for a buffer, or a mark in tmux's output, that nobody else uses or can guess: no text on a screen may pass
/// for it.
fn next_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let secret = RandomState::new().build_hasher().finish();
    format!("iap-{}-{}-{secret:016x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Tmux {
    /// The server on `socket` that holds the session `session`.
    pub fn server(&self, socket: &Path, session: &str) -> Server<'_> {
        Server { tmux: self, socket: socket.to_owned(), session: session.to_owned(), pane: None }
    }
}

impl Server<'_> {
    /// The same server, whose agent is in `pane`, whatever the names of its session and window are now.
    pub fn at(self, pane: PaneId) -> Self {
        Server { pane: Some(pane), ..self }
    }

    /// `=NAME`: exactly this session; without `=` tmux takes any session whose name begins so.
    fn session_target(&self) -> String {
        format!("={}", self.session)
    }

    /// The agent's pane: by its id alone where that is known. Else the first pane of the session of that name.
    pub(crate) fn pane_target(&self) -> String {
        match self.pane {
            Some(pane) => pane.to_string(),
            None => format!("={}:@0.{}", self.session, PaneId::FIRST),
        }
    }

    fn call(&self, words: &[&str]) -> Result<String, TmuxError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        self.tmux.call(&self.socket, &words, None)
    }

    /// Starts the server with its one session, and everything it needs, in one tmux process. A leftover socket file
    /// does not matter; a session that lives is an error of its own.
    pub fn start(&self, spec: &StartSpec) -> Result<Started, TmuxError> {
        let mut words = self.start_words(spec)?;
        words.extend([";", "display-message", "-p", "-t", &self.new_pane(), LOOK].map(OsString::from));
        let said = self.tmux.start(&self.socket, &spec.env, &spec.cwd, &words).map_err(|error| match error {
            // Where the session has ended during its setup, the next command finds no target.
            TmuxError::NoSession => start_error("the session ended at once"),
            error => error,
        })?;
        let mut lines = said.lines();
        let look = PaneLook::parse(lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
            .ok_or_else(|| start_error("tmux said nothing about the new session"))?;
        Started::of(&look)
    }

    /// The command line that does what [`Server::start`] does, for another program to run in `spec.cwd` with
    /// `spec.env`. [`Server::started`] then tells the result.
    pub(crate) fn start_command(&self, spec: &StartSpec) -> Result<Vec<OsString>, TmuxError> {
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

    /// The pane of the session that has just been made, before its id is known.
    fn new_pane(&self) -> String {
        format!("{}:", self.session_target())
    }

    fn start_words(&self, spec: &StartSpec) -> Result<Vec<OsString>, TmuxError> {
        let other = start_error;
        if let Some(dir) = self.socket.parent() {
            crate::base::paths::create_dirs(dir).map_err(|failure| other(&failure.message))?;
        }
        let pane = self.new_pane();
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
            // tmux would make the file readable for everybody. A failure does not matter to the session.
            let _ = private_file(path);
        }
        for (at, name) in ["kill-server", "kill-session", "kill-window", "kill-pane"].iter().enumerate() {
            if let Some(path) = &spec.killed_by {
                command(&["set-option", "-s", &format!("command-alias[{}]", 100 + at), &telling_alias(name, path)]);
            }
        }
        // The session starts in the folder of the client that makes it. `-c` would expand the folder's name as a
        // format, twice.
        command(&["new-session", "-d", "-s", &self.session, SIZE[0], SIZE[1], SIZE[2], SIZE[3], "--"]);
        // tmux sets TMUX for the pane's program, which an agent must not get. Not by env(1): it would take a program's
        // path with a `=` in it for a variable.
        words.extend(["/bin/sh", "-c", "unset TMUX TMUX_PANE; exec \"$0\" \"$@\""].map(OsString::from));
        words.extend(spec.argv.iter().map(escape_semicolon));
        let mut command = |list: &[&str]| {
            words.push(";".into());
            words.extend(list.iter().map(OsString::from));
        };
        // Where a person joins the panes of a window for typing, what is pressed for a message must not go into the others.
        command(&["set-option", "-p", "-t", &pane, "synchronize-panes", "off"]);
        let hook = spec.on_exit.iter().map(exit_word).collect::<Vec<_>>().join(" ");
        if !hook.is_empty() {
            let ours = format!("#{{==:#{{hook_pane}},{}}}", PaneId::FIRST);
            let hook = format!("if-shell -F '{ours}' {{ run-shell -b {} }}", tmux_quoted(&hook));
            command(&["set-hook", "-g", "pane-died", &hook]);
        }
        let log = spec.pane_log.iter().map(|word| shell::quoted(word)).collect::<Vec<_>>().join(" ");
        if !log.is_empty() {
            command(&["pipe-pane", "-O", "-t", &pane, &format!("exec {}", format_escaped(&log, Timed::Yes))]);
        }
        Ok(words)
    }

    /// Reads the facts about the session.
    pub fn look(&self) -> Result<PaneLook, TmuxError> {
        let said = self.call(&["display-message", "-p", "-t", &self.pane_target(), LOOK])?;
        let mut lines = said.lines();
        // Where its target does not exist, display-message prints empty formats and exits with 0.
        PaneLook::parse(lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
            .filter(|look| look.pane.is_some())
            .ok_or(TmuxError::NoSession)
    }

    /// The facts, the attached terminals and the screen, with its SGR sequences where `styled`.
    pub fn survey(&self, styled: bool) -> Result<Survey, TmuxError> {
        let mark = next_name();
        let said = self.tmux.call(&self.socket, &self.survey_words(styled, &mark), None)?;
        Survey::parse(&said, &mark)
    }

    fn survey_words(&self, styled: bool, mark: &str) -> Vec<OsString> {
        let pane = self.pane_target();
        let mut words = vec!["has-session", "-t", &pane, ";", "display-message", "-p", "-t", &pane, LOOK, ";"];
        // The clients of all sessions: a session that is grouped with the agent's shows the same pane.
        words.extend(["list-clients", "-F", CLIENT, ";"]);
        words.extend(["display-message", "-p", mark, ";", "capture-pane", "-p", "-t", &pane]);
        if styled {
            words.push("-e");
        }
        words.iter().map(OsString::from).collect()
    }

    /// Pastes `input`, bracketed, through stdin and a buffer. The same command sequence leaves a mode of tmux's, and
    /// refuses a dead pane or one that stays in a mode (pasting into a dead pane crashes tmux before 3.4, measured).
    pub fn paste(&self, input: &Input<'_>) -> Result<(), TmuxError> {
        let buffer = next_name();
        let said = self
            .tmux
            .call(&self.socket, &self.paste_words(&buffer, input, None), Some(input.text.as_bytes()))
            .inspect_err(|_| self.delete_buffer(&buffer))?;
        self.done(&said)
    }

    /// A survey and, if `decide` says so, a paste with the key `then` pressed after it, in one tmux process: between
    /// survey and paste there is next to no time in which a person or a program of ours could type. Returns whether it
    /// pasted.
    ///
    /// tmux answers the survey and then waits for the text; its other clients don't notice. Where no text comes,
    /// because `decide` declined or this process was killed, nothing happens in the session. An error before `decide`
    /// was asked means that nothing was typed.
    pub fn survey_and_paste(
        &self,
        input: &Input<'_>,
        then: Option<&Key>,
        decide: &mut dyn FnMut(Survey) -> bool,
    ) -> Result<bool, TmuxError> {
        let (buffer, mark) = (next_name(), next_name());
        let end = format!("end-of-survey {buffer}");
        let mut words = self.survey_words(true, &mark);
        words.extend([";", "display-message", "-p", &end, ";"].map(OsString::from));
        words.extend(self.paste_words(&buffer, input, then));
        let end = format!("{end}\n");
        let (mut wanted, mut bad) = (None, None);
        let said = self.tmux.converse(
            &self.socket,
            &words,
            Some(&mut |said| {
                let text = String::from_utf8_lossy(said.strip_suffix(end.as_bytes())?);
                let go = match Survey::parse(&text, &mark) {
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
            // tmux's error, that there is no buffer, is expected.
            (None, Some(false)) => Ok(false),
            (None, None) => said.and(Err(TmuxError::NoSession)),
            (None, Some(true)) => {
                let said = said.inspect_err(|_| self.delete_buffer(&buffer))?;
                let (_, answer) = said.rsplit_once(&end).unwrap_or_default();
                self.done(answer).map(|()| true)
            }
        }
    }

    /// Loads `buffer` from stdin and pastes it, unless the pane must not be typed into; `then` is pressed after it.
    ///
    /// An empty stdin makes no buffer. Then naming the buffer fails, which ends the sequence before the pane leaves a
    /// mode: no person is thrown out of copy mode for nothing.
    fn paste_words(&self, buffer: &str, input: &Input<'_>, then: Option<&Key>) -> Vec<OsString> {
        let pane = self.pane_target();
        let flags = if input.router { "-p -r -d" } else { "-p -d" };
        let refuse = format!("{REFUSE} ; delete-buffer -b {buffer}");
        let press = then.map(|key| format!(" ; send-keys -t '{pane}' -- {}", tmux_quoted(&key.0))).unwrap_or_default();
        let paste = format!("paste-buffer {flags} -b {buffer} -t '{pane}'{press} ; display-message -p done");
        let leave = leave_modes(&pane);
        let loaded = format!("{buffer}-in");
        let mut words = vec!["load-buffer", "-b", &loaded, "-", ";", "set-buffer", "-b", &loaded, "-n", buffer, ";"];
        words.extend(["if-shell", "-F", "-t", &pane, DEAF, &leave, ";"]);
        words.extend(["if-shell", "-F", "-t", &pane, BLOCKED, &refuse, &paste]);
        words.iter().map(OsString::from).collect()
    }

    /// Removes a buffer that may be left after a failure. Where the server is gone, so is the buffer.
    fn delete_buffer(&self, buffer: &str) {
        let _ = self.call(&["delete-buffer", "-b", buffer]);
    }

    /// Presses keys, guarded like a paste.
    pub fn keys(&self, keys: &[Key]) -> Result<(), TmuxError> {
        let pane = self.pane_target();
        let names: Vec<String> = keys.iter().map(|key| tmux_quoted(&key.0)).collect();
        let press = format!("send-keys -t '{pane}' -- {} ; display-message -p done", names.join(" "));
        let leave = leave_modes(&pane);
        let words =
            ["if-shell", "-F", "-t", &pane, DEAF, &leave, ";", "if-shell", "-F", "-t", &pane, BLOCKED, REFUSE, &press];
        let said = self.call(&words)?;
        self.done(&said)
    }

    fn done(&self, said: &str) -> Result<(), TmuxError> {
        match said.trim() {
            "done" => Ok(()),
            "refused 1" => Err(TmuxError::PaneDead),
            "refused 0" => Err(TmuxError::InMode),
            // Where its target does not exist, if-shell runs neither branch.
            "" => Err(TmuxError::NoSession),
            text => Err(TmuxError::Other { call: "if-shell".into(), message: text.to_owned() }),
        }
    }

    /// Ends the session and with it the server.
    pub fn kill(&self) -> Result<(), TmuxError> {
        self.call(&["kill-server"]).map(drop)
    }

    /// Makes a server that lost a SIGCHLD check its children (tmux 3.3a loses up to 30 % of them with one session).
    ///
    /// In the background: the signal of this call's own child may be lost too, and the call would hang (measured).
    pub(crate) fn poke(&self) -> Result<(), TmuxError> {
        self.call(&["run-shell", "-b", "true"]).map(drop)
    }
}

/// An alias by which the command `name` writes its name to `path` before it runs. The client that runs it writes the
/// file, without a child process, whose end tmux might miss. Braces keep an error there from stopping the command
/// itself.
fn telling_alias(name: &str, path: &Path) -> String {
    let path = tmux_quoted(&format_escaped(&path.to_string_lossy(), Timed::No));
    let note = format!("run-shell -C \"set-buffer -b iap-killed-by '{name} pid=#{{pid}}'\"");
    format!("{name}=if-shell -F 1 {{ {note} ; save-buffer -b iap-killed-by {path} }} ; {name}")
}

/// Whether what is typed would not reach the pane's program: a mode takes it, or `select-pane -d` has disabled the input,
/// and tmux drops it without a word.
const DEAF: &str = "#{||:#{pane_in_mode},#{pane_input_off}}";
/// Whether a pane must not be typed into.
const BLOCKED: &str = "#{||:#{pane_dead},#{||:#{pane_in_mode},#{pane_input_off}}}";
/// Prints why: the pane is dead (1), or it stays deaf (0).
const REFUSE: &str = "display-message -p 'refused #{pane_dead}'";

/// Leaves whatever mode the pane is in: copy mode, a chooser, the clock (`send-keys -X cancel` leaves the first alone), and
/// enables its input.
fn leave_modes(pane: &str) -> String {
    format!("copy-mode -q -t '{pane}' ; select-pane -e -t '{pane}'")
}

/// A word of the exit hook, for the shell that tmux starts after it has filled in the formats.
fn exit_word(word: &ExitWord) -> String {
    match word {
        ExitWord::Text(text) => shell::quoted(&format_escaped(text, Timed::No)),
        ExitWord::Set(name, text) => format!("{name}={}", shell::quoted(&format_escaped(text, Timed::No))),
        ExitWord::Value(option, variable) => shell::quoted(&format!("{option}#{{{variable}}}")),
    }
}

/// Creates the file, readable for us alone, before a tmux client writes to it.
fn private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}
