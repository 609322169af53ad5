//! A file system in memory: what of the steps that programs made is left when the power goes.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How much a file system keeps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// ext4 with a journal: names change in order, and an fsync of anything makes every name so far durable. Content
    /// that was not synced may be missing or torn.
    Ordered,
    /// POSIX to the letter: each name that was not synced with its folder is there or not, by itself; only the two
    /// halves of a move are in order, the new name before the old one goes, unless just the old one's folder is synced.
    Strict,
}

/// A change of one folder.
#[derive(Debug, Clone)]
struct Change {
    dir: usize,
    name: String,
    /// What the name means from now on; `None`: nothing.
    means: Option<usize>,
    /// Changes of one step.
    step: usize,
    /// Unless it was synced, it only holds where this one does.
    after: Option<usize>,
    durable: bool,
}

#[derive(Debug, Clone, Default)]
struct Node {
    is_dir: bool,
    content: Vec<u8>,
    synced: Vec<u8>,
}

/// Files: their paths below the root, and content; `None`: a folder.
pub type Tree = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The state of a disk and of what is not on it yet.
#[derive(Debug, Clone)]
pub struct Disk {
    model: Model,
    root: PathBuf,
    nodes: Vec<Node>,
    /// What every name means to the programs that run.
    now: BTreeMap<(usize, String), usize>,
    /// What every name means on the disk, without what is to come.
    base: BTreeMap<(usize, String), usize>,
    changes: Vec<Change>,
    steps: usize,
}

impl Disk {
    /// A disk with what is in `root`, all of it durable.
    pub fn new(model: Model, root: &Path) -> Disk {
        let node = Node { is_dir: true, ..Node::default() };
        let (now, base) = (BTreeMap::new(), BTreeMap::new());
        let mut disk =
            Disk { model, root: root.to_owned(), nodes: vec![node], now, base, changes: Vec::new(), steps: 0 };
        for (path, content) in read_tree(root) {
            let (dir, name) = disk.place(&root.join(path)).expect("a folder is read before what is in it");
            let (is_dir, content) = (content.is_none(), content.unwrap_or_default());
            disk.nodes.push(Node { is_dir, synced: content.clone(), content });
            disk.base.insert((dir, name), disk.nodes.len() - 1);
            disk.now = disk.base.clone();
        }
        disk
    }

    /// The folder and the name of a path; `None`: it is no path of this disk.
    fn place(&self, path: &Path) -> Option<(usize, String)> {
        let below = path.strip_prefix(&self.root).ok()?;
        let name = below.file_name()?.to_str()?.to_owned();
        let mut dir = 0;
        for part in below.parent()?.iter() {
            dir = *self.now.get(&(dir, part.to_str()?.to_owned()))?;
        }
        Some((dir, name))
    }

    fn node(&self, path: &Path) -> Option<usize> {
        if path == self.root { Some(0) } else { self.now.get(&self.place(path)?).copied() }
    }

    fn change(&mut self, (dir, name): (usize, String), means: Option<usize>, after: Option<usize>) -> usize {
        match means {
            Some(node) => drop(self.now.insert((dir, name.clone()), node)),
            None => drop(self.now.remove(&(dir, name.clone()))),
        }
        self.changes.push(Change { dir, name, means, step: self.steps, after, durable: false });
        self.changes.len() - 1
    }

    fn make(&mut self, path: &Path, is_dir: bool) {
        let Some(place) = self.place(path) else { return };
        self.nodes.push(Node { is_dir, ..Node::default() });
        let node = self.nodes.len() - 1;
        self.change(place, Some(node), None);
    }

    /// Makes a recorded step.
    pub fn step(&mut self, step: &Value) {
        self.steps += 1;
        let path = Path::new(step["path"].as_str().unwrap_or_default()).to_owned();
        let to = step["to"].as_str().map(PathBuf::from);
        match (step["op"].as_str().unwrap_or_default(), to) {
            ("open", _) if step["new"] == true => self.make(&path, false),
            ("mkdir", _) => self.make(&path, true),
            ("write", _) => {
                let Some(node) = self.node(&path) else { return };
                let (content, bytes) =
                    (&mut self.nodes[node].content, step["bytes"].as_str().unwrap_or_default().as_bytes());
                match step["at"].as_u64() {
                    None => content.extend_from_slice(bytes),
                    Some(at) => {
                        let (at, end) = (at as usize, at as usize + bytes.len());
                        content.resize(content.len().max(end), 0);
                        content[at..end].copy_from_slice(bytes);
                    }
                }
            }
            ("truncate", _) => {
                let Some(node) = self.node(&path) else { return };
                self.nodes[node].content.truncate(step["at"].as_u64().unwrap_or_default() as usize);
            }
            ("fsync", _) => {
                let Some(node) = self.node(&path) else { return };
                self.nodes[node].synced = self.nodes[node].content.clone();
                let ordered = self.model == Model::Ordered;
                self.changes
                    .iter_mut()
                    .filter(|change| ordered || change.dir == node)
                    .for_each(|change| change.durable = true);
            }
            ("link", Some(to)) => {
                if let (Some(node), Some(place)) = (self.node(&path), self.place(&to)) {
                    self.change(place, Some(node), None);
                }
            }
            ("rename", Some(to)) => {
                if let (Some(node), Some(from), Some(place)) = (self.node(&path), self.place(&path), self.place(&to)) {
                    let added = self.change(place, Some(node), None);
                    self.change(from, None, Some(added));
                }
            }
            ("unlink" | "rmdir", _) => {
                if let Some(place) = self.place(&path) {
                    self.change(place, None, None);
                }
            }
            _ => {}
        }
    }

    /// What the programs see now: another host's disk, where the power stays on.
    pub fn live(&self) -> Tree {
        let all: BTreeSet<usize> = (0..self.changes.len()).collect();
        self.tree(&all, |node| node.content.clone())
    }

    /// What may be on the disk when the power goes now: all of what may have come there, nothing of it, each change
    /// alone and each left out, and `more` random choices; the same one often comes several ways.
    pub fn cuts(&self, more: usize, seed: u64) -> Vec<Tree> {
        let open: Vec<usize> = (0..self.changes.len()).filter(|at| !self.changes[*at].durable).collect();
        let mut chosen: Vec<BTreeSet<usize>> = Vec::new();
        match self.model {
            Model::Ordered => {
                let ends: BTreeSet<usize> = open.iter().map(|at| self.changes[*at].step).collect();
                chosen.push(BTreeSet::new());
                chosen.extend(
                    ends.iter().map(|end| open.iter().copied().filter(|at| self.changes[*at].step <= *end).collect()),
                );
            }
            Model::Strict => {
                chosen.push(BTreeSet::new());
                chosen.push(open.iter().copied().collect());
                chosen.extend(open.iter().map(|at| [*at].into()));
                chosen.extend(open.iter().map(|left| open.iter().copied().filter(|at| at != left).collect()));
            }
        }
        let mut random = Random(seed | 1);
        if self.model == Model::Strict && open.len() > 2 {
            chosen.extend((0..more).map(|_| open.iter().copied().filter(|_| random.bit()).collect()));
        }
        let mut cuts = Vec::new();
        for chosen in chosen {
            // Content that was not synced: none of it, all of it, and torn as chance has it.
            cuts.push(self.tree(&chosen, |node| node.synced.clone()));
            cuts.push(self.tree(&chosen, |node| node.content.clone()));
            cuts.push(self.tree(&chosen, |node| match (random.bit(), random.bit()) {
                (true, _) => node.content.clone(),
                (false, true) => node.synced.clone(),
                (false, false) => {
                    node.content[..node.synced.len().max(node.content.len() / 2).min(node.content.len())].to_vec()
                }
            }));
        }
        cuts
    }

    fn tree(&self, chosen: &BTreeSet<usize>, mut content: impl FnMut(&Node) -> Vec<u8>) -> Tree {
        let mut names = self.base.clone();
        let holds = |at: usize| self.changes[at].durable || chosen.contains(&at);
        for (at, change) in self.changes.iter().enumerate() {
            if holds(at) && (change.durable || change.after.is_none_or(holds)) {
                match change.means {
                    Some(node) => drop(names.insert((change.dir, change.name.clone()), node)),
                    None => drop(names.remove(&(change.dir, change.name.clone()))),
                }
            }
        }
        // One choice for each file, however many names it has.
        let contents: Vec<Vec<u8>> =
            self.nodes.iter().map(|node| if node.is_dir { Vec::new() } else { content(node) }).collect();
        let mut tree = Tree::new();
        let mut todo = vec![(0, PathBuf::new())];
        while let Some((dir, path)) = todo.pop() {
            for ((_, name), node) in names.range((dir, String::new())..(dir + 1, String::new())) {
                let path = path.join(name);
                if self.nodes[*node].is_dir {
                    todo.push((*node, path.clone()));
                    tree.insert(path, None);
                } else {
                    tree.insert(path, Some(contents[*node].clone()));
                }
            }
        }
        tree
    }
}

struct Random(u64);

impl Random {
    fn bit(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 33 & 1 == 1
    }
}

/// What is below `root`, a folder before what is in it; sockets are none of it.
pub fn read_tree(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let below = path.strip_prefix(root).unwrap().to_owned();
            if below.starts_with("socks") {
                continue;
            }
            if kind.is_dir() {
                tree.insert(below, None);
                todo.push(path);
            } else if kind.is_file() {
                tree.insert(below, Some(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// Puts `tree` in the place of what is below `root`.
pub fn write_tree(root: &Path, tree: &Tree) {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    for entry in fs::read_dir(root).unwrap().flatten().filter(|entry| entry.file_name() != "socks") {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    for (path, content) in tree {
        let path = root.join(path);
        match content {
            None => fs::DirBuilder::new().mode(0o700).create(path).unwrap(),
            Some(bytes) => {
                let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                std::io::Write::write_all(&mut file.unwrap(), bytes).unwrap();
            }
        }
    }
}
