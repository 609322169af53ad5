//! One source file as the checks see it: the paths it names, its literals, how much code it has.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use std::collections::BTreeSet;

/// The segments of a module's path below the crate, or of a path as it is written.
pub type Segments = Vec<String>;

/// A path as it is written, in the module it is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// `["super", "ready", "look"]`.
    pub segments: Segments,
    /// The module around it, inline ones too: `["machine", "deliver", "tests"]`.
    pub module: Segments,
    pub line: usize,
    /// Inside a `#[cfg(test)]` module.
    pub test: bool,
}

/// One leaf of a `use`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub path: Mention,
    /// The name it gives to the module it stands in; a glob gives none.
    pub name: Option<String>,
    /// `pub`, `pub(crate)`, …: others may reach the item through this module.
    pub public: bool,
}

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    pub line: usize,
    /// The function it is the first argument of, by its last name: `find_program("tmux", …)`.
    pub argument_of: Option<String>,
}

/// What is in a file. Comments, the documentation among them, count for nothing.
#[derive(Debug, Default)]
pub struct Source {
    pub path: String,
    pub module: Segments,
    /// Inline modules, by their whole path.
    pub inline: Vec<Segments>,
    pub imports: Vec<Import>,
    pub mentions: Vec<Mention>,
    pub texts: Vec<Text>,
    /// Lines with the keyword `unsafe`.
    pub unsafe_lines: Vec<usize>,
    /// It begins with `#![forbid(unsafe_code)]`.
    pub forbids_unsafe: bool,
    /// All lines of the file.
    pub lines: usize,
    /// Lines with code on them, outside `#[cfg(test)]` modules.
    pub code_lines: usize,
    code: BTreeSet<usize>,
}

impl Source {
    /// Reads the file at `path` (`src/lib/…` or `src/bin/…`).
    pub fn read(path: &str, text: &str) -> Result<Source, String> {
        let tokens: TokenStream =
            text.parse().map_err(|error: proc_macro2::LexError| format!("{path}: cannot be read: {error}"))?;
        let mut source =
            Source { path: path.to_owned(), module: module_of(path), lines: text.lines().count(), ..Source::default() };
        let scope = Scope { module: source.module.clone(), test: false };
        source.walk(tokens, &scope, None);
        source.code_lines = source.code.len();
        Ok(source)
    }

    /// The room it belongs to: `host` for `src/lib/host/spawn.rs`.
    pub fn room(&self) -> Option<&str> {
        self.path.starts_with("src/lib/").then(|| self.module.first().map(String::as_str)).flatten()
    }

    fn walk(&mut self, tokens: TokenStream, scope: &Scope, called: Option<&str>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // An attribute says that the module after it is there for tests only.
        let mut for_tests = false;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if let Some((attribute, length)) = attribute(&tokens[at..]) {
                for_tests |= is_cfg_test(attribute);
                self.attribute(attribute, tokens[at].span(), scope);
                at += length;
                continue;
            }
            let opens_tests = for_tests && matches!(token, TokenTree::Ident(word) if word == "mod");
            if !matches!(token, TokenTree::Group(_)) && !opens_tests {
                self.count(token.span(), scope);
            }
            match token {
                // Not the `use<…>` of a type.
                TokenTree::Ident(word)
                    if word == "use" && !tokens.get(at + 1).is_some_and(|next| is_punct(next, '<')) =>
                {
                    let end =
                        tokens[at..].iter().position(|token| is_punct(token, ';')).map_or(tokens.len(), |n| at + n);
                    tokens[at..end].iter().for_each(|token| self.count(token.span(), scope));
                    let public = is_visible(&tokens[..at]);
                    self.use_tree(&tokens[at + 1..end], &[], scope, public);
                    (for_tests, at) = (false, end);
                }
                TokenTree::Ident(word) if word == "mod" => {
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        let mut module = scope.module.clone();
                        module.push(name.to_string());
                        self.inline.push(module.clone());
                        let inner = Scope { module, test: scope.test || for_tests };
                        self.count(body.span_open(), &inner);
                        self.count(body.span_close(), &inner);
                        self.walk(body.stream(), &inner, None);
                        at += 2;
                    }
                    for_tests = false;
                    at += 1;
                }
                TokenTree::Ident(word) => at += self.word(word, &tokens[at..], scope),
                TokenTree::Group(group) => {
                    self.count(group.span_open(), scope);
                    self.count(group.span_close(), scope);
                    let called = callee(&tokens[..at], group);
                    self.walk(group.stream(), scope, called.as_deref());
                    for_tests &= group.delimiter() != Delimiter::Brace;
                    at += 1;
                }
                TokenTree::Literal(literal) => {
                    if let Some(value) = unquoted(&literal.to_string()) {
                        let argument_of = called.filter(|_| at == 0).map(str::to_owned);
                        self.texts.push(Text { value, line: literal.span().start().line, argument_of });
                    }
                    at += 1;
                }
                TokenTree::Punct(mark) => {
                    for_tests &= mark.as_char() != ';';
                    at += 1;
                }
            }
        }
    }

    /// A word, or the path that begins with it. Says how many tokens that was.
    fn word(&mut self, word: &Ident, tokens: &[TokenTree], scope: &Scope) -> usize {
        let line = word.span().start().line;
        if word == "unsafe" {
            self.unsafe_lines.push(line);
        }
        let mut segments = vec![word.to_string()];
        let mut length = 1;
        while let [a, b, TokenTree::Ident(next), ..] = &tokens[length..]
            && is_punct(a, ':')
            && is_punct(b, ':')
        {
            self.count(next.span(), scope);
            segments.push(next.to_string());
            length += 3;
        }
        if segments.len() > 1 {
            self.mentions.push(scope.mention(segments, line));
        }
        length
    }

    /// One level of a `use`: what stands behind `prefix::`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &[String], scope: &Scope, public: bool) {
        for branch in tokens.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
            let mut segments = prefix.to_vec();
            let line = branch[0].span().start().line;
            let mut rest = branch;
            let mut name = None;
            loop {
                match rest {
                    [TokenTree::Ident(word), TokenTree::Ident(alias), ..] if word == "as" => {
                        name = Some(alias.to_string());
                        break;
                    }
                    [TokenTree::Ident(word), tail @ ..] => {
                        segments.push(word.to_string());
                        rest = tail;
                    }
                    [TokenTree::Punct(mark), tail @ ..] if mark.as_char() == ':' => rest = tail,
                    [TokenTree::Group(group), ..] => {
                        let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                        self.use_tree(&inner, &segments, scope, public);
                        segments.clear();
                        break;
                    }
                    // A glob.
                    [_, ..] => {
                        self.imports.push(Import { path: scope.mention(segments, line), name: None, public });
                        segments = Vec::new();
                        break;
                    }
                    [] => break,
                }
            }
            // `a::{self}` is `a`; `self::a` begins with it.
            if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
                segments.pop();
            }
            if let Some(last) = segments.last().cloned() {
                let name = Some(name.unwrap_or(last));
                self.imports.push(Import { path: scope.mention(segments, line), name, public });
            }
        }
    }

    fn attribute(&mut self, attribute: &Group, start: Span, scope: &Scope) {
        let words: Vec<TokenTree> = attribute.stream().into_iter().collect();
        if matches!(words.first(), Some(TokenTree::Ident(word)) if word == "doc") {
            return;
        }
        if let [TokenTree::Ident(word), TokenTree::Group(what)] = &words[..] {
            self.forbids_unsafe |= word == "forbid" && what.stream().to_string() == "unsafe_code";
        }
        if is_cfg_test(attribute) {
            return;
        }
        self.count(start, scope);
        self.count(attribute.span_close(), scope);
        self.walk(attribute.stream(), scope, None);
    }

    fn count(&mut self, span: Span, scope: &Scope) {
        if !scope.test {
            self.code.extend(span.start().line..=span.end().line);
        }
    }
}

/// Where a token stands.
struct Scope {
    module: Segments,
    test: bool,
}

impl Scope {
    fn mention(&self, segments: Segments, line: usize) -> Mention {
        Mention { segments, module: self.module.clone(), line, test: self.test }
    }
}

/// `src/lib/host/process/mod.rs` is `host::process`; `src/lib/lib.rs` is the crate.
fn module_of(path: &str) -> Segments {
    let inside = path.strip_prefix("src/lib/").unwrap_or(path);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

/// `#[…]` or `#![…]`, and how many tokens it is.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, usize)> {
    match tokens {
        [hash, TokenTree::Group(group), ..] if is_punct(hash, '#') => Some((group, 2)),
        [hash, bang, TokenTree::Group(group), ..] if is_punct(hash, '#') && is_punct(bang, '!') => Some((group, 3)),
        _ => None,
    }
    .filter(|(group, _)| group.delimiter() == Delimiter::Bracket)
}

/// `cfg(test)`, `cfg(all(test, …))`, but not `cfg(not(test))`.
fn is_cfg_test(attribute: &Group) -> bool {
    let words = words(&attribute.stream());
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    words.first().is_some_and(|first| first == "cfg") && has("test") && !has("not")
}

fn words(tokens: &TokenStream) -> Vec<String> {
    tokens
        .clone()
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(word) => vec![word.to_string()],
            TokenTree::Group(group) => words(&group.stream()),
            _ => Vec::new(),
        })
        .collect()
}

/// Whether the tokens before a `use` end with its `pub` or `pub(…)`.
fn is_visible(before: &[TokenTree]) -> bool {
    let before = match before {
        [rest @ .., TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => rest,
        all => all,
    };
    matches!(before.last(), Some(TokenTree::Ident(word)) if word == "pub")
}

/// The function whose arguments `group` is.
fn callee(before: &[TokenTree], group: &Group) -> Option<String> {
    match before.last() {
        Some(TokenTree::Ident(name)) if group.delimiter() == Delimiter::Parenthesis => Some(name.to_string()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// What a string literal says; escapes stay as they are.
fn unquoted(literal: &str) -> Option<String> {
    let body = literal.trim_start_matches(['b', 'c', 'r']).trim_matches('#');
    Some(body.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}
