//! The pages of files: state files, manifests of runtimes, profiles of peers.

use crate::*;

/// The words of a page that stand between backticks.
fn words_of(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).collect()
}

/// The code of a file of the library, without its tests.
fn code_of(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib").join(name)).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

#[test]
fn every_state_file_of_the_code_is_on_its_page() {
    let code = code_of("base/state_file.rs");
    let (_, suffixes) = code.split_once("pub fn suffix(self)").unwrap();
    let (suffixes, _) = suffixes.split_once("\n    }").unwrap();
    let text = fs::read_to_string(page("state-files.md")).unwrap();
    let suffixes: Vec<&str> = suffixes.split('"').skip(1).step_by(2).collect();
    assert!(suffixes.len() > 15, "{suffixes:?}");
    let missing: Vec<&&str> =
        suffixes.iter().filter(|suffix| !text.contains(&format!("<identity>.{suffix}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Every other path: what `base` joins, with `<…>` for what is filled in.
    let mut paths = BTreeSet::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib/base")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.ends_with("paths.rs") {
            continue;
        }
        for call in code_of(&format!("base/{name}")).split(".join(").skip(1) {
            let call = call.strip_prefix("format!(").unwrap_or(call);
            if let Some(literal) = call.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                paths.insert(literal.replace('{', "<").replace('}', ">"));
            }
        }
    }
    assert!(paths.len() > 30, "{paths:?}");
    let known = |path: &&String| {
        let pieces: Vec<&str> = path.split(['<', '>']).step_by(2).filter(|piece| !piece.is_empty()).collect();
        pieces.iter().all(|piece| text.contains(piece))
    };
    let missing: Vec<&String> = paths.iter().filter(|path| !known(path)).collect();
    assert!(missing.is_empty(), "docs/state-files.md does not name {missing:?}");
}

/// The names of the fields of every struct that the text of a file is read into.
fn keys_of(code: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for part in code.split("Deserialize").skip(1) {
        // Up to the end of the item that this attribute stands before.
        let item = part.split("\n}").next().unwrap();
        let Some((_, fields)) = item.split_once(" struct ").and_then(|(_, rest)| rest.split_once('{')) else {
            continue;
        };
        let field = |line: &str| Some(line.trim().strip_prefix("pub ")?.split_once(':')?.0.replace("r#", ""));
        keys.extend(fields.lines().filter_map(field));
    }
    keys
}

#[test]
fn every_key_of_a_manifest_and_of_a_profile_is_on_its_page() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib");
    let text = fs::read_to_string(page("runtimes.md")).unwrap();
    let words = words_of(&text);
    let mut missing = Vec::new();
    let mut all = 0;
    for file in files(&src.join("runtime")).into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "rs")) {
        let name = format!("runtime/{}", file.file_name().unwrap().to_str().unwrap());
        for key in keys_of(&code_of(&name)) {
            all += 1;
            if !words.contains(&key.as_str()) {
                missing.push(format!("{key} of {name}"));
            }
        }
    }
    assert!(all > 60, "{all} keys");
    assert!(missing.is_empty(), "docs/runtimes.md does not name {missing:?}");
    let policy = fs::read_to_string(src.join("store/policy.rs")).unwrap();
    let (_, list) = policy.split_once("KEYS: [&str;").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let of_sessions = list.split('"').skip(1).step_by(2);
    let others = ["personality", "default_runtime", "runtimes", "description", "intelligence", "interfaces", "tags"];
    let text = fs::read_to_string(page("profiles.md")).unwrap();
    let words = words_of(&text);
    let missing: Vec<&str> = of_sessions.chain(others).filter(|key| !words.contains(key)).collect();
    assert!(missing.is_empty(), "docs/profiles.md does not name {missing:?}");
    // And the other way round: the page promises no key that nothing reads.
    let known: Vec<&str> = list.split('"').skip(1).step_by(2).chain(others).collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let unread: Vec<&str> = rows.filter(|key| !known.contains(key)).collect();
    assert!(unread.is_empty(), "docs/profiles.md names {unread:?}, which nothing reads");
}
