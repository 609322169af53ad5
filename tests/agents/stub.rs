//! The stub of the models' APIs.

use super::agent::PATIENCE;
use crate::support::{TestHome, wait_for, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The stub of the models' APIs.
pub struct Stub {
    pub child: Child,
    pub port: u16,
    pub log: PathBuf,
    /// What it does about every request: `status`, `body`, `headers`.
    pub mode: PathBuf,
    /// Whose API it is.
    pub runtime: &'static str,
}

impl Stub {
    pub fn start(home: &TestHome, runtime: &'static str) -> Stub {
        let (log, mode) = (home.dir().join("stub.log"), home.dir().join("stub.mode"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/model_stub.py");
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--port", "0", "--log"])
            .arg(&log)
            .arg("--mode")
            .arg(&mode)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there: tools/test-agents looked");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().trim_end_matches(')').rsplit(' ').next().unwrap().parse().unwrap();
        Stub { child, port, log, mode, runtime }
    }

    /// Answers every request from now on with this status; with none, as usual.
    pub fn fail(&self, status: Option<u16>) {
        // A context that is full is a bad request, told apart by its words (Anthropic) or its code (OpenAI).
        let (kind, words) = match status {
            Some(400) => ("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
            _ => ("x", "stub words"),
        };
        // Google's code is the status.
        let code = match self.runtime {
            "gemini" => json!(status),
            // opencode goes by the code alone.
            "opencode" if status != Some(400) => json!("x"),
            _ => json!("context_length_exceeded"),
        };
        let body = json!({"type": "error", "error": {"type": kind, "message": words, "code": code}});
        let mode = status.map_or(json!({}), |status| json!({"status": status, "body": body}));
        fs::write(self.mode.with_extension("new"), mode.to_string()).unwrap();
        fs::rename(self.mode.with_extension("new"), &self.mode).unwrap();
    }

    /// The last request, whole.
    pub fn last(&self) -> String {
        fs::read_to_string(self.mode.with_extension("mode.last")).unwrap_or_default()
    }

    /// The last request that carries `needle`, whole; empty where another one came since.
    pub fn whole(&self, needle: &str) -> String {
        let path = self.mode.with_extension("mode.tools");
        let mut last = String::new();
        wait_until(&format!("the whole request about {needle}"), PATIENCE, || {
            last = fs::read_to_string(&path).unwrap_or_default();
            last.contains(needle) && last.ends_with('}')
        });
        last
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the model was asked, with our tool at hand, about a message that carries `needle`.
    pub fn asked(&self, needle: &str) -> Value {
        wait_for(&format!("the model to be asked about {needle}"), PATIENCE, || {
            self.requests().into_iter().find(|request| {
                request["user"].as_str().is_some_and(|user| user.contains(needle))
                    && request["tools"].as_u64().is_some_and(|n| n > 0)
            })
        })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
