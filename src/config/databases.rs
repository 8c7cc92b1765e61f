//! Kind of a source, and the connection to its database.
//!
//! **Invariant:** a key that has no effect for a kind of source is refused, so that users never
//! rely on it.

use super::addresses::{self, Address, Parts};
use super::endpoints::Bases;
use super::error::{Problem, Refusal, allowed};
use super::queries;
use super::reader::Reader;
use super::schema::{Kind, Source, TOP};
use super::setting::{Choice, Table, Text, Value, with_heading};
use super::settings::SourceKind;
use super::value::CHANNEL_BYTES_MAX;
use crate::sources::{DatabaseOptions, PostgresOptions, Server, SqliteOptions, Tls};

/// Environment variable in which programs keep the address of their database.
const DATABASE_URL: &str = "DATABASE_URL";

impl Kind {
    fn as_str(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, kind)| *kind == self);
        word.map_or("", |(word, _)| word)
    }
}

/// Reads the kind of `source`, and its connection. For each missing value, a problem has been
/// reported.
pub(super) fn read(
    reader: &mut Reader,
    source: &Table<Source>,
    bases: &Bases,
) -> (Option<Kind>, Option<SourceKind>) {
    let stated = source.kind.get().copied();
    let address = url(source).and_then(|(text, url)| {
        let address = addresses::parse(url, &parts(source), reader.environment);
        reader.take(address.map_err(|refusal| text.refuse(refusal)))
    });
    let implied = address.as_ref().map(|address| match address {
        Address::Postgres(_) => Kind::Postgres,
        Address::Sqlite(_) => Kind::Sqlite,
    });
    if !has_url(source) {
        require(reader, source, "kind");
    }
    if let (Some(text), Some(stated), Some(implied)) = (source.url.text(), stated, implied)
        && stated != implied
        && stated != Kind::Api
    {
        let reason = format!("is the address of a {} database", implied.as_str());
        let hint = format!("omit kind, or write kind = \"{}\"", implied.as_str());
        reader.note(text.refuse(Refusal::new(reason).hint(hint)));
        return (Some(stated), None);
    }
    let Some(kind) = stated.or(implied) else {
        return (None, None);
    };
    refuse_others(reader, source, kind);
    let found = match kind {
        Kind::Api => Some(SourceKind::Api),
        Kind::Sqlite => sqlite(reader, source, bases, address).map(SourceKind::Database),
        Kind::Postgres => postgres(reader, source, bases, address).map(SourceKind::Database),
    };
    (Some(kind), found)
}

/// The address of `source`, if it is not empty.
fn url(source: &Source) -> Option<(&Text, &String)> {
    source.url.both().filter(|(_, url)| !url.trim().is_empty())
}

/// Returns true if `source` has an address, valid or not.
fn has_url(source: &Source) -> bool {
    source.url.is_present() && (source.url.get().is_none() || url(source).is_some())
}

/// Parts of the address of a server that `source` gives.
fn parts(source: &Source) -> Parts<'_> {
    Parts {
        host: given(&source.host),
        port: source.port.get().and_then(|port| port.0),
        user: given(&source.user),
        password: given(&source.password),
        dbname: given(&source.dbname),
    }
}

/// Keys of parts of an address whose values are empty: they count as absent.
fn empty_parts(source: &Source) -> Vec<&'static str> {
    let parts = parts(source);
    let port = source.port.text().is_some() && parts.port.is_none();
    let keys = [
        ("host", &source.host, parts.host),
        ("user", &source.user, parts.user),
        ("password", &source.password, parts.password),
        ("dbname", &source.dbname, parts.dbname),
    ];
    let keys = keys.into_iter();
    let empty = keys.filter(|(_, value, part)| value.is_present() && part.is_none());
    let empty = empty.map(|(name, _, _)| name);
    empty.chain(port.then_some("port")).collect()
}

fn given(value: &Value<String>) -> Option<&str> {
    value
        .get()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}

/// Reports that `source` lacks the key `name`, if it does.
pub(super) fn require(reader: &mut Reader, source: &Table<Source>, name: &str) {
    if !source.given.contains_key(name) {
        let hint = TOP.nested("source").key(name).such_as();
        reader.note(source.problem(&format!("{name} is missing")).hint(hint));
    }
}

fn sqlite(
    reader: &mut Reader,
    source: &Table<Source>,
    bases: &Bases,
    address: Option<Address>,
) -> Option<DatabaseOptions> {
    let url = source.url.text().filter(|_| has_url(source));
    if let Some(text) = url.filter(|_| source.path.is_present()) {
        reader
            .note(text.refuse(Refusal::new("says the same as path").hint("leave out one of them")));
        return None;
    }
    let base = bases.file.as_deref();
    let path = match (address, url) {
        (Some(Address::Sqlite(path)), Some(text)) => {
            reader.take(text.path_below(path.as_ref(), base))
        }
        (_, Some(_)) => None,
        (_, None) => {
            require(reader, source, "path");
            reader.path_below(&source.path, base).ok().flatten()
        }
    };
    let queries = queries::read(reader, source);
    let add_columns = queries::added_columns(reader, source);
    path.zip(queries).map(|(path, queries)| {
        DatabaseOptions::Sqlite(SqliteOptions {
            path,
            queries,
            add_columns,
        })
    })
}

fn postgres(
    reader: &mut Reader,
    source: &Table<Source>,
    bases: &Bases,
    address: Option<Address>,
) -> Option<DatabaseOptions> {
    let found = match address {
        Some(Address::Postgres(found)) => Some(*found),
        None if !has_url(source) => of_parts(reader, source),
        // A problem was reported.
        Some(Address::Sqlite(_)) | None => None,
    };
    let queries = queries::read(reader, source);
    let channel = if source.channel.is_present() {
        source.channel.get()?.0.clone()
    } else {
        usual_channel(&source.name.get()?.0)
    };
    let (server, tls) = found?;
    Some(DatabaseOptions::Postgres(Box::new(PostgresOptions {
        server,
        tls: match bases.file.as_deref() {
            Some(base) => tls.below(base),
            None => tls,
        },
        channel,
        poll: source.poll.get()?.0,
        statement_timeout: source.statement_timeout.get()?.0,
        queries: queries?,
    })))
}

/// Server that the parts in `source` name; without any, that of the environment.
fn of_parts(reader: &mut Reader, source: &Table<Source>) -> Option<(Server, Tls)> {
    let keys = ["host", "port", "user", "password", "dbname"];
    let Some(&line) = keys.iter().find_map(|key| source.given.get(*key)) else {
        return of_environment(reader, source);
    };
    match addresses::parse(addresses::SERVER, &parts(source), reader.environment) {
        Ok(Address::Postgres(found)) => Some(*found),
        Ok(Address::Sqlite(_)) => None,
        Err(refusal) => {
            reader.note(Problem {
                line: Some(line),
                hint: refusal.hint,
                ..source.problem(&format!("its address {}", refusal.reason))
            });
            None
        }
    }
}

/// Server that the environment names.
fn of_environment(reader: &mut Reader, source: &Table<Source>) -> Option<(Server, Tls)> {
    let problem = |message: String, hint: Option<String>| Problem {
        hint,
        ..source.problem(&message)
    };
    let problem = match reader.environment.set(DATABASE_URL) {
        None => {
            let example = &TOP.nested("source").key("url").example;
            let message = format!("url is missing, and {DATABASE_URL} is not set");
            let hint = format!("such as url = {example}, or set {DATABASE_URL}");
            problem(message, Some(hint))
        }
        Some(url) => match addresses::parse(
            &url.to_string_lossy(),
            &Parts::default(),
            reader.environment,
        ) {
            Ok(Address::Postgres(found)) => return Some(*found),
            Ok(Address::Sqlite(_)) => {
                let message = format!("{DATABASE_URL} is the address of a sqlite database");
                problem(message, Some("write kind = \"sqlite\"".to_owned()))
            }
            Err(refusal) => problem(format!("{DATABASE_URL} {}", refusal.reason), refusal.hint),
        },
    };
    reader.note(problem);
    None
}

/// Default channel: `lapsed_` and the source's name as an SQL identifier.
fn usual_channel(name: &str) -> String {
    let word = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    let mut channel = format!("lapsed_{}", name.chars().map(word).collect::<String>());
    channel.truncate(CHANNEL_BYTES_MAX);
    channel
}

/// Reports keys that have no effect for sources of this kind.
fn refuse_others(reader: &mut Reader, source: &Table<Source>, kind: Kind) {
    let word = kind.as_str();
    let why = match kind {
        Kind::Api => "programs report these jobs",
        Kind::Sqlite => "its file is watched",
        Kind::Postgres => "a server has no file",
    };
    let (keys, others): (Vec<_>, Vec<_>) = TOP
        .nested("source")
        .keys
        .iter()
        .partition(|key| key.kinds.is_empty() || key.kinds.iter().any(|kind| kind == word));
    let empty = empty_parts(source);
    for key in others {
        let Some(&line) = source.given.get(&key.name) else {
            continue;
        };
        if empty.contains(&key.name.as_str()) {
            continue;
        }
        let message = format!("{} has no effect with kind = \"{word}\": {why}", key.name);
        let names = keys.iter().map(|key| &*key.name);
        reader.note(Problem {
            line: Some(line),
            message: with_heading(&source.heading, &message),
            hint: Some(allowed(names, &key.name)),
        });
    }
}
