//! The real agent programs against a stub of their APIs: woken, written to, interrupted, resumed.
//! `make test-agents` installs them and sets `IAPEER_AGENTS_DIR`; without it these tests say so and pass.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod agents {
    pub mod agent;
    pub mod attention;
    pub mod conversation;
    pub mod manners;
    pub mod own;
    pub mod stub;
    pub mod untyped;
}
mod support;

use agents::{attention, conversation, manners, own, untyped};

/// One test for each program of a case.
macro_rules! tried {
    ($($name:ident: $case:path, $($given:literal),+;)*) => {
        $(#[test]
        fn $name() {
            $case($($given),+);
        })*
    };
}

tried! {
    claude_converses: conversation::converse, "claude";
    codex_converses: conversation::converse, "codex";
    gemini_converses: conversation::converse, "gemini";
    qwen_converses: conversation::converse, "qwen";
    copilot_converses: conversation::converse, "copilot";
    opencode_converses: conversation::converse, "opencode";
    claude_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "claude";
    codex_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "codex";
    gemini_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "gemini";
    qwen_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "qwen";
    copilot_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "copilot";
    opencode_loses_nothing_that_it_queued: conversation::loses_nothing_that_it_queued, "opencode";
    claude_answers_a_script_that_asks: conversation::asks, "claude";
    codex_answers_a_script_that_asks: conversation::asks, "codex";
    claude_has_manners: manners::has_manners, "claude";
    codex_has_manners: manners::has_manners, "codex";
    claude_keeps_a_draft: manners::keeps_a_draft, "claude";
    codex_keeps_a_draft: manners::keeps_a_draft, "codex";
    gemini_keeps_a_draft: manners::keeps_a_draft, "gemini";
    qwen_keeps_a_draft: manners::keeps_a_draft, "qwen";
    copilot_keeps_a_draft: manners::keeps_a_draft, "copilot";
    opencode_keeps_a_draft: manners::keeps_a_draft, "opencode";
    claude_asks_before_it_acts: attention::asks_before_it_acts, "claude";
    codex_asks_before_it_acts: attention::asks_before_it_acts, "codex";
    gemini_asks_on_its_screen: attention::asks_on_its_screen, "gemini";
    qwen_asks_on_its_screen: attention::asks_on_its_screen, "qwen";
    copilot_asks_on_its_screen: attention::asks_on_its_screen, "copilot";
    opencode_asks_on_its_screen: attention::asks_on_its_screen, "opencode";
    claude_asks_before_it_edits: attention::asks_before_it_edits, "claude";
    codex_asks_before_it_edits: attention::asks_before_it_edits, "codex";
    gemini_asks_before_it_edits: attention::asks_before_it_edits, "gemini";
    qwen_asks_before_it_edits: attention::asks_before_it_edits, "qwen";
    copilot_asks_before_it_edits: attention::asks_before_it_edits, "copilot";
    opencode_asks_before_it_edits: attention::asks_before_it_edits, "opencode";
    claude_says_what_failed: attention::says_what_failed, "claude";
    codex_says_what_failed: attention::says_what_failed, "codex";
    gemini_says_what_failed: attention::says_what_failed, "gemini";
    qwen_says_what_failed: attention::says_what_failed, "qwen";
    copilot_says_what_failed: attention::says_what_failed, "copilot";
    opencode_says_what_failed: attention::says_what_failed, "opencode";
    gemini_tries_again: attention::tries_again, "gemini";
    qwen_tries_again: attention::tries_again, "qwen";
    copilot_tries_again: attention::tries_again, "copilot";
    opencode_tries_again: attention::tries_again, "opencode";
    claude_needs_a_login: attention::needs_a_login, "claude", "run claude once in a terminal and log in";
    codex_needs_a_login: attention::needs_a_login, "codex", "run codex login in a terminal";
}

#[test]
fn claude_imports_what_the_profile_allows() {
    own::claude_imports_what_the_profile_allows();
}

#[test]
fn claude_waits_for_a_slow_tool() {
    own::claude_waits_for_a_slow_tool();
}

#[test]
fn codex_hooks_dialog_is_answered() {
    own::codex_hooks_dialog_is_answered();
}

#[test]
fn codex_takes_messages_without_typing() {
    untyped::codex_takes_messages_without_typing();
}

#[test]
fn opencode_takes_messages_without_typing() {
    untyped::opencode_takes_messages_without_typing();
}

#[test]
fn qwen_takes_messages_without_typing() {
    untyped::qwen_takes_messages_without_typing();
}

#[test]
fn cline_is_added_by_a_manifest() {
    own::cline_is_added_by_a_manifest();
}

#[test]
fn figures() {
    own::figures();
}
