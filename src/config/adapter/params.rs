//! Parameters of commands and endpoints.

use serde_json::Value as Json;
use strum::VariantArray as _;

use super::super::error::{Refusal, allowed};
use super::super::reader::Reader;
use super::super::schema::{self, OutputWord, TypeWord};
use super::super::setting::Table;
use super::super::value::Scalar;
use crate::adapter::{Param, ParamEffect, ParamKind, ParamSetting, Place};

/// Names of flags that every command has.
const TAKEN: [&str; 4] = ["help", "release", "output", "config"];

/// Reads and checks one; `None` if something was reported.
pub(super) fn read(
    reader: &mut Reader,
    table: &Table<schema::Param>,
    roots: &[Table<schema::Root>],
) -> Option<Param> {
    let (text, name) = table.name.both()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.0.chars().all(is_word) || TAKEN.contains(&&*name.0) {
        let refusal = Refusal::new(format!("cannot be {:?}", name.0));
        let hint = format!(
            "allowed: letters, digits and \"_\"; not {}",
            TAKEN.join(", ")
        );
        reader.note(text.refuse(refusal.hint(hint)));
        return None;
    }
    let kind = kind(reader, table)?;
    let short = match table.short.both() {
        None => None,
        Some((text, short)) => {
            let mut letters = short.chars();
            let letter = letters.next().filter(char::is_ascii_alphabetic);
            let is_one = letters.next().is_none();
            let letter = letter.filter(|_| is_one);
            let letter = letter.ok_or_else(|| text.refuse(Refusal::new("is not one letter")));
            Some(reader.take(letter)?)
        }
    };
    let effect = effect(reader, table, roots)?;
    let is_setting = matches!(effect, Some(ParamEffect::Setting(_)));
    let places = match table.r#in.all() {
        // A daemon goes by its own settings.
        None if is_setting => vec![Place::Flag],
        None => Place::VARIANTS.to_vec(),
        Some(places) => places.into_iter().map(|(_, place)| *place).collect(),
    };
    if is_setting && places != [Place::Flag] {
        let problem = table.problem("is for a setting, which only a flag can give");
        reader.note(problem.hint("in = [\"flag\"]"));
    }
    let mut param = Param {
        name: name.0.clone(),
        default: match kind {
            ParamKind::Flag => false.into(),
            _ => Json::Null,
        },
        kind,
        min: table.min.get().copied(),
        max: table.max.get().copied(),
        help: table.help.get().cloned().unwrap_or_default(),
        short,
        places,
        effect,
    };
    if let Some((text, Scalar(default))) = table.default.both() {
        let parsed = param.parse(Place::Flag, &default.as_str().into());
        let parsed = parsed.map_err(|(_, why)| text.refuse(Refusal::new(why)));
        param.default = reader.take(parsed)?;
    }
    Some(param)
}

fn kind(reader: &mut Reader, table: &Table<schema::Param>) -> Option<ParamKind> {
    Some(match table.r#type.get()? {
        TypeWord::Bool => ParamKind::Bool,
        TypeWord::Flag => ParamKind::Flag,
        TypeWord::Integer => ParamKind::Integer,
        TypeWord::Number => ParamKind::Number,
        TypeWord::String => ParamKind::String,
        TypeWord::Path => ParamKind::Path,
        TypeWord::Enum => {
            let Some(words) = table.values.all() else {
                let mut problem = table.problem("an enum needs values");
                problem.hint = Some("such as values = [\"fast\", \"thorough\"]".to_owned());
                reader.note(problem);
                return None;
            };
            ParamKind::Choice(words.into_iter().map(|(_, word)| word.clone()).collect())
        }
    })
}

/// The effect; the outer `None` if something was reported.
#[expect(clippy::option_option, reason = "absent, and refused")]
fn effect(
    reader: &mut Reader,
    table: &Table<schema::Param>,
    roots: &[Table<schema::Root>],
) -> Option<Option<ParamEffect>> {
    if let Some(operation) = table.operation.get() {
        return Some(Some(ParamEffect::Operation(*operation)));
    }
    if let Some(OutputWord::Json) = table.output.get() {
        return Some(Some(ParamEffect::Json));
    }
    if let Some(level) = table.level.get() {
        return Some(Some(ParamEffect::Level(*level)));
    }
    let Some((text, setting)) = table.setting.both() else {
        return Some(None);
    };
    let setting = parse_setting(setting, roots).map_err(|refusal| text.refuse(refusal));
    Some(Some(ParamEffect::Setting(reader.take(setting)?)))
}

/// Parses the key of a setting that a parameter can be for.
fn parse_setting(key: &str, roots: &[Table<schema::Root>]) -> Result<ParamSetting, Refusal> {
    if key == "base_dir" {
        return Ok(ParamSetting::BaseDir);
    }
    let name = key
        .strip_prefix("root.")
        .and_then(|key| key.strip_suffix(".path"));
    let Some(name) = name else {
        let refusal = Refusal::new("is no setting that a parameter can be for");
        return Err(refusal.hint("allowed: base_dir, root.NAME.path"));
    };
    let name_of = |root: &Table<schema::Root>| root.name.get().map(|name| name.0.clone());
    let found = roots
        .iter()
        .find(|root| name_of(root).is_some_and(|n| n == name));
    let Some(root) = found else {
        let names: Vec<String> = roots.iter().filter_map(name_of).collect();
        let refusal = Refusal::new(format!("names root {name:?}, which there is not"));
        return Err(refusal.hint(allowed(names.iter().map(String::as_str), name)));
    };
    // Of files elsewhere no job would be the owner.
    if root.orphans.is_present() {
        let reason = format!("names root {name:?}, which has orphans");
        let hint = "its jobs do not name what lies in another directory";
        return Err(Refusal::new(reason).hint(hint));
    }
    Ok(ParamSetting::RootPath(name.to_owned()))
}
