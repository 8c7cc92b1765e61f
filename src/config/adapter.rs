//! `[adapter]`, `[templates]`, `[[command]]`, `[[endpoint]]`: the surface of an older system.
//!
//! **Invariant:** every template was compiled and tried on invented results before it is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::error::{Problem, Refusal, allowed};
use super::reader::Reader;
use super::schema::{self, Top};
use super::setting::{Table, Text, Value};
use super::value::{Code, Name};
use crate::adapter::{
    Action, Adapter, Command, Endpoint, ErrorForm, ErrorStatus, ExitStatus, LogLine, Method,
    Operation, OutputFile, Params, Place, Sample, Template, TemplateError, Templates,
};
use crate::core::role::Role;

mod params;
mod route;
mod source;

use source::Source;

/// Depth of `use` within `use`.
const USES_MAX: usize = 8;

/// Reads and checks all of it. `sample` has the names of the rules and roots, for the trials.
pub(super) fn read(reader: &mut Reader, top: &Table<Top>, sample: &Sample) -> Adapter {
    let zone = zone_of(top.adapter.timezone.get().map_or("local", |zone| &*zone.0));
    let mut building = Building {
        templates: Templates::new(&zone),
        role: top.adapter.role.get().copied().unwrap_or(Role::Viewer),
        roots: &top.root,
        reader,
    };
    for (name, text, code) in top.templates.iter() {
        let shared = building.templates.share(name, &code.0);
        building.note(text, shared);
    }
    let error = building.error_form(&top.adapter);
    let actions = building.actions(top);
    let mut adapter = Adapter {
        commands: BTreeMap::new(),
        endpoints: Vec::new(),
        error,
        templates: Arc::new(Templates::new(&zone)),
        zone,
    };
    for command in &top.command {
        if let Some(command) = building.command(command, &actions) {
            adapter
                .commands
                .insert(command.name.clone(), Arc::new(command));
        }
    }
    for (number, endpoint) in top.endpoint.iter().enumerate() {
        if let Some(endpoint) = building.endpoint(endpoint, number, &actions, &adapter.endpoints) {
            adapter.endpoints.push(Arc::new(endpoint));
        }
    }
    adapter.templates = Arc::new(building.templates.clone());
    building.try_all(top, &mut adapter, sample);
    check_schedules(building.reader, top, &adapter);
    adapter
}

/// Checks the commands that schedules run.
fn check_schedules(reader: &mut Reader, top: &Table<Top>, adapter: &Adapter) {
    for table in &top.schedule {
        let Some((text, name)) = table.command.both() else {
            if table.params.text().is_some() && !table.command.is_present() {
                reader.note(table.problem("has params, and no command"));
            }
            continue;
        };
        let Some(command) = adapter.commands.get(&name.0) else {
            let names = adapter.commands.keys().map(String::as_str);
            let refusal = Refusal::new("is an unknown command").hint(allowed(names, &name.0));
            reader.note(text.refuse(refusal));
            continue;
        };
        if table.rules.is_present() {
            reader.note(table.problem("has both rules and a command"));
        }
        let declared = &command.action.params;
        let given = table.params.iter();
        let given =
            given.map(|(name, _, value)| (Place::Flag, name.to_owned(), value.0.as_str().into()));
        let params = Params::read(declared, given).unwrap_or_else(|faults| {
            for fault in faults {
                let message = format!("params.{} {}", fault.name, fault.message);
                reader.note(table.problem(&message));
            }
            Params::default()
        });
        for (_, flag, _) in params.settings(declared) {
            let message = format!("params gives {flag}, but the daemon goes by its own settings");
            reader.note(table.problem(&message));
        }
    }
}

fn zone_of(name: &str) -> TimeZone {
    match name {
        "local" => TimeZone::system(),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    }
}

/// An adapter while it is read.
struct Building<'r, 'e> {
    reader: &'r mut Reader<'e>,
    templates: Templates,
    role: Role,
    roots: &'r [Table<schema::Root>],
}

impl Building<'_, '_> {
    /// Reports a mistake in the template of `text`.
    fn note<T>(&mut self, text: &Text, result: Result<T, TemplateError>) -> Option<T> {
        let result = result.map_err(|error| text.refuse(Refusal::new(format!("{}", Said(&error)))));
        self.reader.take(result)
    }

    fn json(&mut self, name: &str, value: &Value<Code>) -> Option<Template> {
        let (text, code) = value.both()?;
        let added = self.templates.add_json(name.to_owned(), &code.0);
        self.note(text, added)
    }

    fn text(&mut self, name: &str, value: &Value<Code>) -> Option<Template> {
        let (text, code) = value.both()?;
        let added = self.templates.add_text(name.to_owned(), &code.0);
        self.note(text, added)
    }

    fn error_form(&mut self, adapter: &Table<schema::Adapter>) -> ErrorForm {
        let body = self.json("[adapter] error", &adapter.error);
        let status = |value: &Value<super::value::HttpStatus>| value.get().map(|status| status.0);
        ErrorForm {
            body,
            status: ErrorStatus {
                invalid: status(&adapter.status.invalid),
                conflict: status(&adapter.status.conflict),
                failed: status(&adapter.status.failed),
            },
        }
    }

    /// Sources of all commands and endpoints that have a name.
    fn actions<'t>(&mut self, top: &'t Table<Top>) -> BTreeMap<&'t str, Source<'t>> {
        let commands = top
            .command
            .iter()
            .map(|table| (&table.name, Source::from(table)));
        let endpoints = top
            .endpoint
            .iter()
            .map(|table| (&table.name, Source::from(table)));
        let mut found = BTreeMap::new();
        for (name, source) in commands.chain(endpoints) {
            let Some((text, name)) = name.both() else {
                continue;
            };
            if found.insert(&*name.0, source).is_some() {
                let refusal = Refusal::new("is the name of another command or endpoint");
                self.reader.note(text.refuse(refusal));
            }
        }
        found
    }

    /// `source`, and those that it uses.
    fn chain<'t>(
        &mut self,
        source: Source<'t>,
        actions: &BTreeMap<&str, Source<'t>>,
    ) -> Option<Vec<Source<'t>>> {
        let mut chain = vec![source];
        while let Some((text, used)) = chain.last().and_then(|last| last.r#use.both()) {
            let found = actions.get(&*used.0).filter(|_| chain.len() < USES_MAX);
            let Some(found) = found else {
                let refusal =
                    Refusal::new("names no command and no endpoint, or leads in a circle");
                let names = actions.keys().copied();
                let problem = text.refuse(refusal.hint(allowed(names, &used.0)));
                self.reader.note(problem);
                return None;
            };
            chain.push(*found);
        }
        Some(chain)
    }

    /// The action of `source`, called `name`, with what it takes from those that it uses.
    fn action(
        &mut self,
        name: &str,
        source: Source<'_>,
        actions: &BTreeMap<&str, Source<'_>>,
    ) -> Option<Action> {
        let chain = self.chain(source, actions)?;
        let operation = chain
            .iter()
            .find_map(|source| source.operation.get().copied());
        let operation = operation.unwrap_or(Operation::Clean);
        let request = chain.iter().map(|source| source.request);
        let request = request.clone().find(|request| request.is_present());
        let request = request.and_then(|request| self.json(&format!("{name} request"), request));
        let params = chain.iter().map(|source| source.params);
        let params = params
            .clone()
            .find(|params| !params.is_empty())
            .unwrap_or_default();
        let params = params
            .iter()
            .filter_map(|param| params::read(self.reader, param, self.roots));
        let role = chain.iter().find_map(|source| source.role.get().copied());
        Some(Action {
            operation,
            role: role.unwrap_or(self.role).max(operation.role()),
            request,
            params: params.collect(),
            needs: BTreeSet::new(),
        })
    }

    fn command(
        &mut self,
        table: &Table<schema::Command>,
        actions: &BTreeMap<&str, Source<'_>>,
    ) -> Option<Command> {
        let (text, Name(name)) = table.name.both()?;
        if name.starts_with('-') || name.contains(char::is_whitespace) {
            let refusal = Refusal::new("is no name of a command");
            let hint = "allowed: letters, digits, \"_\" and \"-\"";
            self.reader.note(text.refuse(refusal.hint(hint)));
            return None;
        }
        let label = |part: &str| format!("[[command]] {name:?} {part}");
        let action = self.action(&label(""), table.into(), actions)?;
        let log = table.log.iter().enumerate();
        let log: Vec<LogLine> = log
            .filter_map(|(number, line)| self.log_line(&label(&format!("log {number}")), line))
            .collect();
        let files = table.files.iter().enumerate();
        let files: Vec<OutputFile> = files
            .filter_map(|(number, file)| {
                let dir = file.dir.get().filter(|dir| dir.as_os_str() != "base_dir");
                Some(OutputFile {
                    name: self.text(&label(&format!("file {number}")), &file.name)?,
                    dir: dir.cloned(),
                    is_json: file.output.get() != Some(&schema::OutputWord::Text),
                    in_dry_runs: file.dry_run.get() == Some(&true),
                })
            })
            .collect();
        let mut command = Command {
            name: name.clone(),
            help: table.help.get().cloned().unwrap_or_default(),
            action,
            text: self.text(&label("text"), &table.text),
            json: self.json(&label("json"), &table.json),
            log,
            log_line: self.text(&label("log_line"), &table.log_line),
            log_level: table.log_level.get().copied()?,
            log_to: table.log_to.get().copied()?,
            exit: ExitStatus {
                errors: table.exit.errors.get().copied()?,
                failed: table.exit.failed.get().copied()?,
            },
            files,
        };
        let templates = command.text.iter().chain(&command.json);
        let templates = templates.chain(command.log.iter().map(|line| &line.text));
        command.action.needs = templates
            .flat_map(|template| self.templates.needs(template))
            .collect();
        Some(command)
    }

    fn log_line(&mut self, name: &str, table: &Table<schema::CommandLog>) -> Option<LogLine> {
        let (text, Code(code)) = table.text.both()?;
        let source = match table.when.both() {
            None => code.clone(),
            Some((when_text, Code(when))) => {
                let checked = self.templates.check_expression(when);
                self.note(when_text, checked)?;
                format!("{{% if {when} %}}{code}{{% endif %}}")
            }
        };
        let added = self.templates.add_text(name.to_owned(), &source);
        Some(LogLine {
            on: *table.on.get()?,
            level: *table.level.get()?,
            text: self.note(text, added)?,
        })
    }

    fn endpoint(
        &mut self,
        table: &Table<schema::Endpoint>,
        number: usize,
        actions: &BTreeMap<&str, Source<'_>>,
        known: &[Arc<Endpoint>],
    ) -> Option<Endpoint> {
        let (text, written) = table.route.both()?;
        let found = route::parse(written).map_err(|refusal| text.refuse(refusal));
        let (method, path) = self.reader.take(found)?;
        if known
            .iter()
            .any(|known| known.method == method && known.path == path)
        {
            self.reader
                .note(text.refuse(Refusal::new("is given twice")));
            return None;
        }
        let label = format!("[[endpoint]] {written:?}");
        let mut action = self.action(&label, table.into(), actions)?;
        if method == Method::Get && action.operation == Operation::Clean {
            self.check_question(table, actions);
        }
        let answers = self.chain(table.into(), actions)?.into_iter();
        let mut answers = answers.map(|source| source.answer);
        let Some(answer) = answers.find(|answer| answer.is_present()) else {
            let problem = table.problem("has no answer");
            let hint = "write answer = '…', or use a command that has json";
            self.reader.note(problem.hint(hint));
            return None;
        };
        let answer = self.json(&format!("{label} answer"), answer)?;
        action.needs = self.templates.needs(&answer);
        let name = table.name.get().map(|name| name.0.clone());
        Some(Endpoint {
            name: name.unwrap_or_else(|| format!("endpoint {}", number + 1)),
            method,
            path,
            help: table.help.get().cloned().unwrap_or_default(),
            action,
            answer,
            example: String::new(),
        })
    }

    /// A GET must not remove anything: its request says so in the file already.
    fn check_question(
        &mut self,
        table: &Table<schema::Endpoint>,
        actions: &BTreeMap<&str, Source<'_>>,
    ) {
        let mut source = Some(Source::from(table));
        let mut request = None;
        for _ in 0..USES_MAX {
            let Some(found) = source else { break };
            request = request.or_else(|| found.request.get());
            source = found
                .r#use
                .get()
                .and_then(|used| actions.get(&*used.0))
                .copied();
        }
        let is_dry = request.is_some_and(|Code(code)| {
            let squeezed: String = code.chars().filter(|c| !c.is_whitespace()).collect();
            squeezed.contains("\"dry_run\":true")
        });
        if !is_dry {
            let mut problem = table.problem("GET would remove files");
            problem.hint =
                Some("write \"dry_run\": true into its request, or take POST".to_owned());
            self.reader.note(problem);
        }
    }

    /// Tries every template on invented results, and keeps the answers as examples.
    fn try_all(&mut self, top: &Table<Top>, adapter: &mut Adapter, sample: &Sample) {
        if self.reader.count() > 0 {
            // The names that the templates use may be among what was refused.
            return;
        }
        for table in &top.command {
            let command = table
                .name
                .get()
                .and_then(|name| adapter.commands.get(&name.0));
            let Some(command) = command.cloned() else {
                continue;
            };
            let tried = sample.try_command(adapter, &command);
            self.note_trial(&table.heading, table.line, tried);
        }
        for (table, number) in top.endpoint.iter().zip(0..) {
            let Some(endpoint) = adapter.endpoints.get(number).cloned() else {
                continue;
            };
            let tried = sample.try_endpoint(adapter, &endpoint);
            if let Some(example) = self.note_trial(&table.heading, table.line, tried) {
                adapter.endpoints[number] = Arc::new(Endpoint {
                    example,
                    ..Endpoint::clone(&endpoint)
                });
            }
        }
    }

    fn note_trial<T>(
        &mut self,
        heading: &str,
        line: Option<usize>,
        tried: Result<T, (&'static str, TemplateError)>,
    ) -> Option<T> {
        let result = tried.map_err(|(key, error)| Problem {
            line,
            message: format!("{heading}: {key} fails on an invented result: {error}"),
            hint: None,
        });
        self.reader.take(result)
    }
}

/// A mistake of a template behind its key.
struct Said<'a>(&'a TemplateError);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "is no template: {}", self.0)
    }
}
