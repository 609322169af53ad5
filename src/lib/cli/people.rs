//! The verbs of `iapeer` for people.

use crate::base::exit::{Exit, Failure};
use crate::base::harmless::{harmless, harmless_json};
use crate::base::identity::Topic;
use crate::base::message_id::MessageIdError;
use crate::base::output;
use crate::cli;
use crate::cli::people_args::{People, TagAct};
use crate::cli::telegram_args::Connect;
use crate::delivery::accept::{self, Message};
use crate::host::program::become_program;
use crate::operator::history::{self, HistoryFilter};
use crate::operator::logs;
use crate::people::inbox::{FiledLetter, Inbox};
use crate::people::{notify, owner};
use crate::session::launch;
use crate::store::one_writer::OneWriter;
use crate::store::profile::Profile;
use crate::store::profile_update::Tag;
use crate::store::queue::nobody;
use crate::store::registry::Registry;
use crate::store::reindex;
use crate::world::World;
use crate::world::peer::{Peer, split_name, unknown_in, whole_peer};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a followed inbox is read.
const FOLLOW: Duration = Duration::from_millis(200);
/// How long to wait for the outcome of an answer.
const WAIT: Duration = Duration::from_secs(60);

/// Runs one of these verbs.
pub fn run(world: &World<'_>, verb: People) -> Result<Exit, Failure> {
    match verb {
        People::Inbox { name, follow, all, json } => inbox(world, name.as_deref(), follow, all, json),
        People::Read { id, json } => read(world, id.as_deref(), json),
        People::Reply { id, message, message_file, attach, json } => {
            let body = cli::body(message, message_file.as_deref())?;
            reply(world, &id, body, attach, json)
        }
        People::Tag { name, act, tags, json } => tag(world, &name, act, &tags, json),
        People::History { peer, with, since, grep, thread, json } => {
            let names = [peer, with].into_iter().flatten().collect::<Vec<_>>();
            past(world, &names, since.as_deref(), grep, thread.as_deref(), json)
        }
        People::Connect { to: Connect::Telegram(given) } => {
            // A program of its own, since this one links no code for networks.
            let program = launch::bin_dir().join("iapeer-telegram");
            let error = become_program(&program, &given.words());
            Err(Failure::new(Exit::Internal, format!("cannot run {}: {error}", program.display())))
        }
        People::Schedule { act } => cli::schedule::run(world, act),
        People::Notify { event: Some(path), .. } => notify::run_event(world, &path).map(|()| Exit::Ok),
        People::Notify { event: None, json, .. } => {
            notify::test(world)?;
            let value = serde_json::json!({"program": world.paths.notify(), "action": "ran"});
            cli::tell(json, &value, || "notify: it ran, and ended well".to_owned());
            Ok(Exit::Ok)
        }
        People::Owner { name, json } => own(world, name.as_deref(), json),
    }
}

/// The person with this name, else the person of the current folder, else the owner.
fn person(world: &World<'_>, name: Option<&str>) -> Result<Peer, Failure> {
    if let Some(name) = name {
        let peer = Peer::named(world.paths, name, None)?;
        if peer.has_inbox() {
            return Ok(peer);
        }
        let why =
            || format!("{name} has no inbox: it is on runtime {}, and people are on `person`", peer.identity.runtime());
        return Err(Failure::new(Exit::Refused, why()));
    }
    let here = std::env::current_dir().ok().and_then(|cwd| Profile::read(&cwd).ok().flatten());
    let here = here.and_then(|profile| Peer::find(world.paths, profile.personality(), None).ok());
    if let Some(here) = here.filter(Peer::has_inbox) {
        return Ok(here);
    }
    match owner::owner(world.paths)? {
        Some(owner) => Peer::find(world.paths, &owner, None),
        None => {
            let why = "there is no person yet: `iapeer create me --runtime person` makes one, the owner of this host";
            Err(Failure::new(Exit::NoPeer, why))
        }
    }
}

fn inbox(world: &World<'_>, name: Option<&str>, follow: bool, all: bool, json: bool) -> Result<Exit, Failure> {
    let person = person(world, name)?;
    let inbox = Inbox::of(person.cwd());
    let mut seen = BTreeSet::new();
    let mut listed = inbox.letters(all)?;
    if listed.is_empty() && !follow && !json {
        cli::say(format!(
            "nothing unread for {}: `iapeer inbox --all` shows what was read",
            person.identity.personality()
        ));
    }
    loop {
        for filed in listed.into_iter().filter(|filed| seen.insert(filed.letter.id)) {
            cli::tell(json, &filed.letter, || filed.letter.line());
        }
        if !follow || !output::is_heard() {
            return Ok(Exit::Ok);
        }
        world.clock.sleep(FOLLOW);
        listed = inbox.letters(false)?;
    }
}

/// The message `id`, from any person's inbox, with that person; without `id` the oldest unread message of the calling
/// person.
fn find(world: &World<'_>, id: Option<&str>) -> Result<(Peer, Option<FiledLetter>), Failure> {
    let own = person(world, None);
    let first = own.and_then(|peer| Inbox::of(peer.cwd()).find(id).map(|found| (peer, found)));
    let Some(id) = id.filter(|_| matches!(&first, Err(failure) if failure.exit != Exit::Usage)) else { return first };
    for peer in Peer::all(world.paths)?.into_iter().filter(Peer::has_inbox) {
        match Inbox::of(peer.cwd()).find(Some(id)) {
            Err(failure) if failure.exit == Exit::NoInput => {}
            found => return found.map(|found| (peer, found)),
        }
    }
    first
}

fn read(world: &World<'_>, id: Option<&str>, json: bool) -> Result<Exit, Failure> {
    let (person, Some(filed)) = find(world, id)? else {
        let why = "nothing unread: `iapeer inbox --all` shows what was read";
        return Err(Failure::new(Exit::NoInput, why));
    };
    let text = match json {
        true => harmless_json(
            serde_json::to_string(&filed.letter).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?,
        ),
        false => harmless(&filed.letter.text()),
    };
    // Shown before it is marked: after a crash in between the message is shown again, and never marked without being shown.
    output::say_surely(&text)?;
    Inbox::of(person.cwd()).mark_read(&filed)?;
    Ok(Exit::Ok)
}

fn reply(world: &World<'_>, id: &str, body: String, attach: Vec<String>, json: bool) -> Result<Exit, Failure> {
    let (person, Some(filed)) = find(world, Some(id))? else {
        return Err(Failure::new(Exit::NoInput, format!("no message {id:?}: `iapeer inbox --all` shows them")));
    };
    let letter = &filed.letter;
    if letter.from == nobody() {
        let why = "iapeer itself wrote that, and nobody reads an answer: `iapeer list` shows whom to write to";
        return Err(Failure::new(Exit::Refused, why));
    }
    let registry = Registry::read(world.paths)?;
    let here = letter.from.here().filter(|from| registry.declares(from));
    let report = accept::send(
        world,
        Message {
            to: letter.from.contact().to_string(),
            runtime: here.map(|from| from.runtime().clone()),
            from: Some(person.identity.to_string()),
            topic: Topic::parse(letter.topic.as_deref().unwrap_or_default())
                .map_err(|error| Failure::new(Exit::DataErr, error.to_string()))?,
            re: Some(letter.id),
            ask: None,
            attachments: attach,
            urgent: false,
            no_pile: false,
            wait: WAIT,
            body,
        },
    )?;
    Inbox::of(person.cwd()).mark_read(&filed)?;
    cli::tell_done(json, &report, || report.line());
    Ok(Exit::Ok)
}

fn tag(world: &World<'_>, name: &str, act: Option<TagAct>, tags: &[String], json: bool) -> Result<Exit, Failure> {
    let usage = |why: String| Failure::new(Exit::Usage, why);
    let registry = Registry::read(world.paths)?;
    let name = whole_peer(&registry, name)?;
    let record = registry.get(&name).ok_or_else(|| unknown_in(&registry, &name))?;
    let tags: Vec<Tag> = tags
        .iter()
        .map(|text| text.trim_start_matches('@').parse().ok().filter(|tag: &Tag| tag.as_str() != "all"))
        .collect::<Option<_>>()
        .ok_or_else(|| usage("a tag is a letter a-z, then up to 31 of a-z, 0-9 and -, and not `all`".into()))?;
    let none = || Failure::new(Exit::Config, format!("{name} has no profile: `iapeer init` makes one"));
    let profile = match act {
        None => Profile::read(&record.cwd)?,
        Some(act) => {
            let (add, remove) = if act == TagAct::Add { (tags, Vec::new()) } else { (Vec::new(), tags) };
            let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
            let tagged = Profile::tag(&writer, &record.cwd, &add, &remove)?;
            reindex::reindex_by(world.paths, &writer, Some(&name))?;
            tagged
        }
    };
    let profile = profile.ok_or_else(none)?;
    match json {
        true => cli::tell(true, &serde_json::json!({"personality": name, "tags": profile.tags()}), String::new),
        false => profile.tags().iter().for_each(cli::say),
    }
    Ok(Exit::Ok)
}

fn past(
    world: &World<'_>,
    names: &[String],
    since: Option<&str>,
    grep: Option<String>,
    thread: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let registry = Registry::read(world.paths)?;
    let filter = HistoryFilter {
        // The names are not looked up, since removed peers have a history too.
        between: names
            .iter()
            .map(|text| split_name(&registry, text, None).map(|(name, _)| name))
            .collect::<Result<_, _>>()?,
        since: since.map(|text| logs::since(text, world.now())).transpose()?,
        grep,
        thread: thread
            .map(str::parse)
            .transpose()
            .map_err(|error: MessageIdError| Failure::new(Exit::Usage, error.to_string()))?,
    };
    let messages = history::read(world, &filter)?;
    if let Some(name) = filter.between.iter().find(|name| registry.get(name).is_none())
        && messages.is_empty()
    {
        return Err(unknown_in(&registry, name));
    }
    for message in messages {
        cli::tell(json, &message, || message.text());
    }
    Ok(Exit::Ok)
}

fn own(world: &World<'_>, name: Option<&str>, json: bool) -> Result<Exit, Failure> {
    if let Some(name) = name {
        let registry = Registry::read(world.paths)?;
        owner::name_owner(world.paths, &registry, &whole_peer(&registry, name)?)?;
    }
    let owner = owner::owner(world.paths)?.ok_or_else(|| {
        Failure::new(Exit::NoPeer, "this host has no owner: `iapeer create me --runtime person` makes you one")
    })?;
    cli::tell(json, &serde_json::json!({ "owner": owner }), || owner.to_string());
    Ok(Exit::Ok)
}
