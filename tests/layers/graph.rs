//! Which file uses which: the paths of all files, followed to the file that holds what they name.
//!
//! A path is followed through `self`, `super`, `crate`, the names that `use` gives to a module, and the re-exports of a
//! `mod.rs`, to the file that defines the item. A `use` of a module alone is no use of anything in it: what follows, such as
//! `process::liveness`, is. Nor is a re-export of its own modules by a `mod.rs`.

use crate::layers::source::{Mention, Segments, Source};
use std::collections::{BTreeMap, BTreeSet};

/// One file names something of another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The file that names it, as an index into the sources.
    pub from: usize,
    /// The file that holds it.
    pub to: usize,
    pub line: usize,
    /// It names a module and nothing in it.
    pub module_only: bool,
}

/// A path that leads out of the crate, with its first name as the outside has it: `["std", "process", "Command"]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outside {
    pub from: usize,
    pub path: Segments,
    pub line: usize,
    pub test: bool,
}

/// Files that use each other in circles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// The shortest circle among them: each file with the line by which it uses the next.
    pub way: Vec<(usize, usize)>,
    /// How many files are on a circle with these.
    pub files: usize,
}

/// The uses of a tree.
#[derive(Debug, Default)]
pub struct Graph {
    pub uses: BTreeSet<Use>,
    pub outside: BTreeSet<Outside>,
}

impl Graph {
    pub fn of(sources: &[Source]) -> Graph {
        let names = Names::of(sources);
        let mut graph = Graph::default();
        for (from, source) in sources.iter().enumerate() {
            for import in &source.imports {
                let facade = |to: usize| import.public && sources[to].module.starts_with(&source.module);
                graph.add(from, &import.path, &names, facade);
            }
            for mention in &source.mentions {
                graph.add(from, mention, &names, |_| false);
            }
        }
        graph
    }

    fn add(&mut self, from: usize, mention: &Mention, names: &Names<'_>, facade: impl Fn(usize) -> bool) {
        let line = mention.line;
        for end in names.follow(&mention.module, &mention.segments, 0) {
            match end {
                End::Inside { file, module_only } if file != from && !facade(file) => {
                    self.uses.insert(Use { from, to: file, line, module_only });
                }
                End::Inside { .. } => {}
                End::Outside(path) => {
                    self.outside.insert(Outside { from, path, line, test: mention.test });
                }
            }
        }
    }

    /// The groups of files that use each other in circles, by one circle of each.
    pub fn circles(&self) -> Vec<Circle> {
        let mut next: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for used in self.uses.iter().filter(|used| !used.module_only) {
            next.entry(used.from).or_default().entry(used.to).or_insert(used.line);
        }
        let mut tarjan = Tarjan::on(&next);
        for file in next.keys() {
            tarjan.visit(*file);
        }
        let circle = |group: BTreeSet<usize>| Circle { way: shortest(&next, &group), files: group.len() };
        tarjan.found.into_iter().map(circle).collect()
    }
}

/// The shortest circle within a group.
fn shortest(next: &BTreeMap<usize, BTreeMap<usize, usize>>, group: &BTreeSet<usize>) -> Vec<(usize, usize)> {
    let round = |start: usize| {
        let mut before: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(file) = queue.pop_front() {
            for (to, line) in next.get(&file).into_iter().flatten().filter(|(to, _)| group.contains(to)) {
                if *to == start {
                    let mut way = vec![(file, *line)];
                    let mut at = file;
                    while at != start {
                        let (from, line) = before[&at];
                        way.push((from, line));
                        at = from;
                    }
                    way.reverse();
                    return way;
                }
                if !before.contains_key(to) {
                    before.insert(*to, (file, *line));
                    queue.push_back(*to);
                }
            }
        }
        Vec::new()
    };
    group.iter().map(|start| round(*start)).min_by_key(Vec::len).unwrap_or_default()
}

/// Tarjan's algorithm: the strongly connected components of more than one file.
struct Tarjan<'n> {
    next: &'n BTreeMap<usize, BTreeMap<usize, usize>>,
    index: BTreeMap<usize, usize>,
    low: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    found: Vec<BTreeSet<usize>>,
}

impl<'n> Tarjan<'n> {
    fn on(next: &'n BTreeMap<usize, BTreeMap<usize, usize>>) -> Self {
        Tarjan { next, index: BTreeMap::new(), low: BTreeMap::new(), stack: Vec::new(), found: Vec::new() }
    }

    fn visit(&mut self, file: usize) {
        if self.index.contains_key(&file) {
            return;
        }
        let index = self.index.len();
        self.index.insert(file, index);
        self.low.insert(file, index);
        self.stack.push(file);
        for to in self.next.get(&file).into_iter().flat_map(BTreeMap::keys) {
            self.visit(*to);
            if self.stack.contains(to) {
                let low = self.low[&file].min(self.low[to]);
                self.low.insert(file, low);
            }
        }
        if self.low[&file] == index {
            let at = self.stack.iter().position(|on| *on == file).unwrap_or(0);
            let group: BTreeSet<usize> = self.stack.drain(at..).collect();
            if group.len() > 1 {
                self.found.push(group);
            }
        }
    }
}

/// Where a path ends.
enum End {
    Inside { file: usize, module_only: bool },
    Outside(Segments),
}

/// All modules, and the names that `use` gives to them.
struct Names<'s> {
    /// Which file a module is in; inline ones are in their file.
    modules: BTreeMap<&'s [String], usize>,
    /// What a name in a module stands for; the same name may stand for another thing on another platform.
    aliases: BTreeMap<(&'s [String], &'s str), Vec<&'s Mention>>,
    globs: BTreeMap<&'s [String], Vec<&'s Mention>>,
}

impl<'s> Names<'s> {
    fn of(sources: &'s [Source]) -> Names<'s> {
        let mut names = Names { modules: BTreeMap::new(), aliases: BTreeMap::new(), globs: BTreeMap::new() };
        for (file, source) in sources.iter().enumerate() {
            for module in std::iter::once(&source.module).chain(&source.inline) {
                names.modules.insert(module, file);
            }
            for import in &source.imports {
                let module = import.path.module.as_slice();
                match &import.name {
                    Some(name) => names.aliases.entry((module, name)).or_default().push(&import.path),
                    None => names.globs.entry(module).or_default().push(&import.path),
                }
            }
        }
        names
    }

    /// Follows a path that stands in `module`.
    fn follow(&self, module: &[String], path: &[String], depth: usize) -> Vec<End> {
        let Some(first) = path.first().filter(|_| depth < 16) else { return Vec::new() };
        let parent = &module[..module.len().saturating_sub(1)];
        match first.as_str() {
            "crate" => return self.descend(&path[1..], depth),
            "self" => return self.descend(&[module, &path[1..]].concat(), depth),
            "super" if path.get(1).is_some_and(|second| second == "super") => {
                return self.follow(parent, &path[1..], depth + 1);
            }
            "super" => return self.descend(&[parent, &path[1..]].concat(), depth),
            _ => {}
        }
        let child = [module, std::slice::from_ref(first)].concat();
        if self.modules.contains_key(child.as_slice()) {
            return self.descend(&[module, path].concat(), depth);
        }
        if let Some(targets) = self.aliases.get(&(module, first.as_str())) {
            return self.through(targets, &path[1..], depth);
        }
        for glob in self.globs.get(module).into_iter().flatten() {
            // A name that `use super::*` brings along.
            let [keyword] = &glob.segments[..] else { continue };
            if keyword == "super" {
                return self.follow(parent, path, depth + 1);
            }
        }
        vec![End::Outside(path.to_vec())]
    }

    fn through(&self, targets: &[&Mention], rest: &[String], depth: usize) -> Vec<End> {
        let follow = |target: &&Mention| {
            let path = [target.segments.as_slice(), rest].concat();
            // `use nix::poll;` names itself: it is no alias of its own.
            match target.segments.first() == path.first() && self.is_outside(target) {
                true => vec![End::Outside(path)],
                false => self.follow(&target.module, &path, depth + 1),
            }
        };
        targets.iter().flat_map(follow).collect()
    }

    fn is_outside(&self, target: &Mention) -> bool {
        let first = &target.segments[0];
        let child = [target.module.as_slice(), std::slice::from_ref(first)].concat();
        !matches!(first.as_str(), "crate" | "self" | "super") && !self.modules.contains_key(child.as_slice())
    }

    /// Follows a path from the crate down.
    fn descend(&self, path: &[String], depth: usize) -> Vec<End> {
        let known = (0..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]));
        let Some(length) = known else { return Vec::new() };
        let (module, rest) = path.split_at(length);
        let file = self.modules[module];
        match rest.first() {
            None => vec![End::Inside { file, module_only: true }],
            Some(item) => match self.aliases.get(&(module, item.as_str())) {
                Some(targets) => self.through(targets, &rest[1..], depth),
                None => vec![End::Inside { file, module_only: false }],
            },
        }
    }
}
