//! The paths of the files by which messages go into a session without being typed: the ways app-server and file.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use std::path::PathBuf;

impl Paths {
    /// The socket of the app-server beside a session; its path is shorter than that of the session's tmux socket.
    pub fn app_socket(&self, identity: &Identity) -> PathBuf {
        self.socket_dir().join(format!("app-iap-{identity}.sock"))
    }

    /// The file from which the program of a session reads messages.
    pub fn command_file(&self, identity: &Identity) -> PathBuf {
        self.launch_files(identity).join("commands.jsonl")
    }

    /// The file in which the program of a session records its events, among them the messages that its turns take.
    pub fn echo_file(&self, identity: &Identity) -> PathBuf {
        self.launch_files(identity).join("echoes.jsonl")
    }

    /// What the app-server of the last launch printed.
    pub fn app_server_log(&self, identity: &Identity) -> PathBuf {
        self.launch_files(identity).join("app-server.log")
    }

    /// Held by whoever runs a session's app-server, until the server has ended and its socket is removed.
    pub fn app_server_lock(&self, identity: &Identity) -> PathBuf {
        self.launch_files(identity).join("app-server.lock")
    }
}
