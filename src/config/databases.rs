//! Kind of a source, and the connection to its database.
//!
//! **Invariant:** a key that has no effect for a kind of source is refused, so that users never
//! rely on it.

use std::time::Duration;

use tokio_postgres::Config;

use super::addresses::{self, Address};
use super::document::Section;
use super::endpoints::Bases;
use super::error::{Problem, Refusal, allowed};
use super::queries;
use super::reader::{Reader, Text};
use super::schema::{
    CHANNEL, DATABASE_KEYS, FILE_KEYS, Key, POLL, SERVER_KEYS, SOURCE_KEYS, SOURCE_KIND,
    SOURCE_PATH, SOURCE_URL, STATEMENT_TIMEOUT,
};
use super::settings::{PostgresSettings, SourceKind, SqliteSettings, TlsSettings};
use super::sources::{path, require};
use super::value;

/// Environment variable in which programs keep the address of their database.
const DATABASE_URL: &str = "DATABASE_URL";

/// Longest name of a channel, in bytes: the server truncates longer ones.
const CHANNEL_BYTES_MAX: usize = 63;

const POLL_DEFAULT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Lower limit of both.
const LEAST: Duration = Duration::from_secs(1);

/// Kind of a source, as the file names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Api,
    Sqlite,
    Postgres,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Returns true if `key` has an effect for sources of this kind.
    fn knows(self, key: &str) -> bool {
        let is_in = |keys: &[Key]| keys.iter().any(|of| of.name == key);
        match self {
            Self::Api => !is_in(DATABASE_KEYS),
            Self::Sqlite => !is_in(SERVER_KEYS),
            Self::Postgres => !is_in(FILE_KEYS),
        }
    }
}

/// Reads the kind of `section`, which is called `name`, and its connection. For each missing value,
/// a problem has been reported.
pub(super) fn read(
    reader: &mut Reader,
    section: &Section,
    bases: &Bases,
    name: Option<&str>,
) -> (Option<Kind>, Option<SourceKind>) {
    let said = reader.value(section, &SOURCE_KIND, kind);
    let url = reader.text(section, &SOURCE_URL);
    let address = url.as_ref().and_then(|text| {
        let parsed = addresses::parse(&text.value, reader.environment);
        reader.take(text, parsed)
    });
    let meant = address.as_ref().map(|address| match address {
        Address::Postgres(_) => Kind::Postgres,
        Address::Sqlite(_) => Kind::Sqlite,
    });
    if !section.has(SOURCE_KIND.name) && !section.has(SOURCE_URL.name) {
        require(reader, section, &SOURCE_KIND);
    }
    if let (Some(text), Some(said), Some(meant)) = (&url, said, meant)
        && said != meant
        && said != Kind::Api
    {
        let reason = format!("is the address of a {} database", meant.as_str());
        let hint = format!("leave kind out, or write kind = \"{}\"", meant.as_str());
        reader.note(text.refuse(Refusal::new(reason).hint(hint)));
        return (Some(said), None);
    }
    let Some(word) = said.or(meant) else {
        return (None, None);
    };
    refuse_others(reader, section, word);
    let found = match word {
        Kind::Api => Some(SourceKind::Api),
        Kind::Sqlite => sqlite(reader, section, bases, address, url.as_ref()),
        Kind::Postgres => postgres(reader, section, bases, address, name),
    };
    (Some(word), found)
}

fn kind(text: &str) -> Result<Kind, Refusal> {
    let kinds = [Kind::Api, Kind::Sqlite, Kind::Postgres].map(|kind| (kind.as_str(), kind));
    value::choice(&kinds)(text)
}

fn sqlite(
    reader: &mut Reader,
    section: &Section,
    bases: &Bases,
    address: Option<Address>,
    url: Option<&Text>,
) -> Option<SourceKind> {
    if let Some(text) = url.filter(|_| section.has(SOURCE_PATH.name)) {
        reader
            .note(text.refuse(Refusal::new("says the same as path").hint("leave out one of them")));
        return None;
    }
    let path = match (address, url) {
        (Some(Address::Sqlite(path)), Some(text)) => {
            let found = text.path_below(path.as_ref(), bases.file.as_deref());
            found.map_err(|problem| reader.note(problem)).ok()
        }
        (Some(Address::Sqlite(_) | Address::Postgres(_)) | None, _) if url.is_some() => None,
        (Some(Address::Sqlite(_) | Address::Postgres(_)) | None, _) => {
            require(reader, section, &SOURCE_PATH);
            path(reader, section, &SOURCE_PATH, bases).map(|(_, path)| path)
        }
    };
    let queries = queries::read(reader, section);
    let add_columns = queries::added_columns(reader, section);
    path.zip(queries).map(|(path, queries)| {
        SourceKind::Sqlite(SqliteSettings {
            path,
            queries,
            add_columns,
        })
    })
}

fn postgres(
    reader: &mut Reader,
    section: &Section,
    bases: &Bases,
    address: Option<Address>,
    name: Option<&str>,
) -> Option<SourceKind> {
    let found = match address {
        Some(Address::Postgres(found)) => Some(*found),
        // A problem was reported.
        Some(Address::Sqlite(_)) => None,
        None if section.has(SOURCE_URL.name) => None,
        None => of_environment(reader, section),
    };
    let usual = name.map(usual_channel).unwrap_or_default();
    let channel = if section.has(CHANNEL.name) {
        reader.value(section, &CHANNEL, channel)
    } else {
        Some(usual)
    };
    let mut duration = |key: &Key, usual: Duration| {
        if section.has(key.name) {
            reader.value(section, key, value::duration_from(LEAST))
        } else {
            Some(usual)
        }
    };
    let poll = duration(&POLL, POLL_DEFAULT);
    let statement_timeout = duration(&STATEMENT_TIMEOUT, STATEMENT_TIMEOUT_DEFAULT);
    let queries = queries::read(reader, section);
    let (server, tls) = found?;
    Some(SourceKind::Postgres(Box::new(PostgresSettings {
        server,
        tls: match bases.file.as_deref() {
            Some(base) => tls.below(base),
            None => tls,
        },
        channel: channel?,
        poll: poll?,
        statement_timeout: statement_timeout?,
        queries: queries?,
    })))
}

/// Server that the environment names.
fn of_environment(reader: &mut Reader, section: &Section) -> Option<(Config, TlsSettings)> {
    let hint = format!(
        "such as url = {}, or set {DATABASE_URL}",
        SOURCE_URL.example
    );
    let refuse = |reader: &mut Reader, what: String, hint: Option<String>| {
        reader.note(Problem {
            place: section.place(),
            message: section.entitle(&what),
            hint,
        });
    };
    let Some(url) = reader.environment.set(DATABASE_URL) else {
        let what = format!("has no url, and {DATABASE_URL} is not set");
        refuse(reader, what, Some(hint));
        return None;
    };
    match addresses::parse(&url.to_string_lossy(), reader.environment) {
        Ok(Address::Postgres(found)) => Some(*found),
        Ok(Address::Sqlite(_)) => {
            let what = format!("{DATABASE_URL} is the address of a sqlite database");
            refuse(reader, what, Some("write kind = \"sqlite\"".to_owned()));
            None
        }
        Err(refusal) => {
            refuse(
                reader,
                format!("{DATABASE_URL} {}", refusal.reason),
                refusal.hint,
            );
            None
        }
    }
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

fn channel(text: &str) -> Result<String, Refusal> {
    let name = value::name(text)?;
    if name.len() > CHANNEL_BYTES_MAX {
        return Err(Refusal::new(format!(
            "is {} bytes long, the name of a channel may have at most {CHANNEL_BYTES_MAX}",
            name.len()
        )));
    }
    Ok(name)
}

fn refuse_others(reader: &mut Reader, section: &Section, kind: Kind) {
    let names = SOURCE_KEYS.iter().map(|key| key.name);
    let names: Vec<_> = names.filter(|name| kind.knows(name)).collect();
    let is_known = |key: &str| SOURCE_KEYS.iter().any(|of| of.name == key);
    let why = match kind {
        Kind::Api => "programs tell of these jobs",
        Kind::Sqlite => "its file is watched",
        Kind::Postgres => "a server has no file",
    };
    for (key, place) in section
        .keys()
        .filter(|(key, _)| is_known(key) && !kind.knows(key))
    {
        let word = kind.as_str();
        reader.note(Problem {
            place,
            message: section.entitle(&format!("{key} says nothing with kind = \"{word}\": {why}")),
            hint: Some(allowed(names.iter().copied(), key)),
        });
    }
}
