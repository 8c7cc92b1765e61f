//! Owners of entries, to be found again whenever a job changes.
//!
//! Where a root's template tells a job by its directory, that directory is where its entries are.
//! Elsewhere (`{job}_{name}`) this keeps, for each entry, 24 bytes under the hash of its job.
//! Claims are paths.
//!
//! **Invariant:** what is found here is a hint: whose an entry is is asked again of its path.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::item::Item;
use crate::core::facts::RootId;
use crate::core::index::hash::name_hash;
use crate::core::index::{DirId, Index, PageId, Record};
use crate::core::jobs::{JobKey, SourceId};
use crate::core::observed::Name;
use crate::core::path::RelPath;
use crate::core::policy::{Class, Since};
use crate::core::template::Template;
use crate::core::time::{Now, Timestamp};

/// Readings of one name that are kept: shorter ids first. Ids with more separators in them are
/// found by a walk.
const READINGS_MAX: usize = 8;

/// Entries of jobs whose directory does not tell them.
#[derive(Debug, Default)]
pub(super) struct OwnershipIndex {
    slots: BTreeSet<(u32, DirId, u64)>,
}

impl OwnershipIndex {
    pub(super) fn clear(&mut self) {
        self.slots.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    fn of(&self, root: RootId, id: &[u8]) -> impl Iterator<Item = (DirId, u64)> {
        let hash = hash(root, id);
        let range = (hash, DirId(0), 0)..=(hash, DirId(u32::MAX), u64::MAX);
        self.slots.range(range).map(|&(_, dir, name)| (dir, name))
    }
}

fn hash(root: RootId, id: &[u8]) -> u32 {
    let hash = name_hash(u32::from(root.0), id);
    u32::try_from(hash >> 32).expect("invariant: half of it")
}

/// Under what the entry `name` of `dir`, at `path`, is found: under each job that its name can be
/// read to belong to, known or not.
fn owned_slots(
    (root, template): (RootId, &Template),
    path: &[u8],
    (dir, name): (DirId, &[u8]),
) -> Vec<(u32, DirId, u64)> {
    let name = Index::hash_of(dir, name);
    let readings = template.jobs_up_to(path, READINGS_MAX);
    readings.map(|id| (hash(root, id), dir, name)).collect()
}

/// Result of judging an entry again, for another owner or another state of the owner.
enum Reclassified {
    Same,
    As(Record),
    /// This for now: the index does not have what its rule asks for, and it is looked at.
    Look(Record),
}

/// The entries of a job: names by directory.
pub(super) type Entries = BTreeMap<DirId, BTreeSet<Name>>;

impl Engine {
    /// The template of `root`, where directories do not tell whose an entry is.
    fn flat_template(&self, root: RootId) -> Option<&Template> {
        let known = self.policy.roots.get(&root)?;
        let template = known.owner.as_ref().filter(|_| known.source.is_some());
        template.filter(|template| !template.has_job_dir())
    }

    /// Notes whose the entry `name` of `dir` is, where its directory does not tell.
    pub(super) fn note_owned(&mut self, root: RootId, dir: DirId, path: &[u8], name: &[u8]) {
        if let Some(template) = self.flat_template(root) {
            let slots = owned_slots((root, template), path, (dir, name));
            self.owned.slots.extend(slots);
        }
    }

    /// Forgets whose entries of `dir` are that were taken out of the index.
    pub(super) fn forget_owned<'n>(
        &mut self,
        dir: DirId,
        names: impl IntoIterator<Item = &'n [u8]>,
    ) {
        if self.owned.slots.is_empty() {
            return;
        }
        let Some((root, at)) = self.index.dir_path(dir) else {
            return;
        };
        let Some(template) = self.flat_template(root) else {
            return;
        };
        let slots = names.into_iter().flat_map(|name| {
            let path = at.join(name);
            owned_slots((root, template), path.as_bytes(), (dir, name))
        });
        for slot in slots.collect::<Vec<_>>() {
            self.owned.slots.remove(&slot);
        }
    }

    /// Forgets whose all entries of `top` and beneath it are: it is about to be dropped.
    pub(super) fn forget_owned_in(&mut self, top: DirId) {
        let root = self.index.dir(top).map(|dir| dir.root);
        if self.owned.slots.is_empty() || root.is_none_or(|root| self.flat_template(root).is_none())
        {
            return;
        }
        for dir in self.index.subtree(top) {
            for (_, page) in self.index.snapshot_of(dir) {
                self.forget_owned(dir, page.entries().map(|(name, _)| name));
            }
        }
    }

    /// Takes note of whose a file is that was looked at.
    pub(super) fn update_owner(
        &mut self,
        root: RootId,
        dir: DirId,
        path: &[u8],
        name: &[u8],
        record: &Record,
        now: Now,
    ) {
        if self.policy.sources.is_empty() {
            return;
        }
        self.note_owned(root, dir, path, name);
        self.on_job_entry(root, path, record, now);
    }

    /// The jobs that own what is at `path`, with their numbers.
    fn owners(&self, root: RootId, path: &[u8]) -> Vec<(JobKey, u32)> {
        let owner = self.owner(root, path);
        let jobs = owner.jobs().iter();
        jobs.filter_map(|job| Some((job.key.clone(), self.jobs.number(&job.key)?)))
            .collect()
    }

    /// A directory was looked at: an empty one goes with its job, too.
    pub(super) fn on_job_dir(&mut self, root: RootId, path: &RelPath, now: Now) {
        let is_asked = |known: &crate::core::policy::Root| {
            known.source.is_some() && known.owner.as_ref().is_some_and(Template::has_job_dir)
        };
        if !self.policy.roots.get(&root).is_some_and(is_asked) {
            return;
        }
        for (key, no) in self.owners(root, path.as_bytes()) {
            if self.job_dir(root, &key).as_ref() == Some(path) {
                self.arm_job(key.source, no, now);
            }
        }
    }

    /// Directory in which the template of `root` has all that belongs to a job, if it is one.
    pub(super) fn job_dir(&self, root: RootId, key: &JobKey) -> Option<RelPath> {
        let known = self.policy.roots.get(&root)?;
        if known.source != Some(key.source) {
            return None;
        }
        RelPath::parse(&known.owner.as_ref()?.job_dir(key.id.as_bytes())?)
    }

    /// The entries in `root` that may be the job's by the root's template, but for those in its own
    /// directory.
    pub(super) fn flat_entries(&self, root: RootId, key: &JobKey) -> Entries {
        let mut entries = Entries::new();
        let known = self.policy.roots.get(&root).and_then(|known| known.source);
        let Some(template) = self
            .flat_template(root)
            .filter(|_| known == Some(key.source))
        else {
            return entries;
        };
        let id = key.id.as_bytes();
        if template.shorter_readings(id) >= READINGS_MAX {
            return self.read_entries(root, template, id);
        }
        for (dir, hash) in self.owned.of(root, id) {
            let names = self.index.named(dir, hash);
            if !names.is_empty() {
                entries.entry(dir).or_default().extend(names);
            }
        }
        entries
    }

    /// As [`Engine::flat_entries`], by a walk through all of the root.
    fn read_entries(&self, root: RootId, template: &Template, id: &[u8]) -> Entries {
        let mut entries = Entries::new();
        let top = self.index.dir_id(root, b"");
        for dir in top.map_or(Vec::new(), |top| self.index.subtree(top)) {
            let Some((_, at)) = self.index.dir_path(dir) else {
                continue;
            };
            for (_, page) in self.index.snapshot_of(dir) {
                for (name, _) in page.entries() {
                    let path = at.join(name);
                    if template.jobs(path.as_bytes()).any(|job| job == id) {
                        entries.entry(dir).or_default().insert(name.into());
                    }
                }
            }
        }
        entries
    }

    /// Judges all entries of a job anew, and those at `paths`.
    pub(super) fn reclassify_job(
        &mut self,
        source: SourceId,
        id: &str,
        paths: Vec<(RootId, RelPath)>,
        now: Now,
    ) {
        let key = JobKey {
            source,
            id: id.to_owned(),
        };
        let mut paths = paths;
        if let Some(no) = self.jobs.number(&key) {
            paths.extend(self.jobs.claimed(&self.policy, source, no));
        }
        let roots: Vec<RootId> = self.roots.keys().copied().collect();
        for root in roots {
            for (dir, names) in self.flat_entries(root, &key) {
                self.reclassify_entries(dir, Some(&names), now);
            }
            paths.extend(self.job_dir(root, &key).map(|dir| (root, dir)));
        }
        for (root, path) in paths {
            self.reclassify_path(root, &path, now);
        }
    }

    /// Judges anew what is at `path`: a file, or a directory with all beneath it.
    fn reclassify_path(&mut self, root: RootId, path: &RelPath, now: Now) {
        if let Some(dir) = self.index.dir_id(root, path.as_bytes()) {
            for dir in self.index.subtree(dir) {
                self.reclassify_entries(dir, None, now);
            }
        } else if let Some((dir, _)) = self.index.find(root, path.as_bytes())
            && let Some((_, name)) = path.split()
        {
            let names = BTreeSet::from([Name::from(name)]);
            self.reclassify_entries(dir, Some(&names), now);
        }
        if let Some(top) = path.top()
            && let Some(id) = self.index.dir_id(root, top)
            && let Some(dir) = self.index.dir(id)
        {
            self.set_unit(root, top, id, dir.facts.latest(), now);
            self.retry(&Item::Dir(id), now);
        }
    }

    /// Judges the entries of `dir` with these names (`None`: all) anew.
    fn reclassify_entries(&mut self, dir: DirId, names: Option<&BTreeSet<Name>>, now: Now) {
        let pages: BTreeSet<PageId> = match names {
            None => self.index.pages_of(dir).into_iter().collect(),
            Some(names) => {
                let find = |name: &Name| self.index.page_of(dir, name);
                names.iter().filter_map(find).collect()
            }
        };
        for page in pages {
            self.reclassify_page(page, names, now);
        }
    }

    pub(super) fn reclassify_page(&mut self, id: PageId, names: Option<&BTreeSet<Name>>, now: Now) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let Some((root, dir)) = self.index.dir_path(page.dir()) else {
            return;
        };
        let mut renewed: BTreeMap<Name, Record> = BTreeMap::new();
        let mut looks = Vec::new();
        for (name, record) in page.entries() {
            if names.is_some_and(|names| !names.contains(name)) {
                continue;
            }
            let path = dir.join(name);
            self.outdate_claims_at(root, path.as_bytes());
            match self.renew(root, path.as_bytes(), record) {
                // What held it on account of its owners may be over.
                Reclassified::Same => self.retry_file(page.dir(), name, now),
                Reclassified::As(record) => drop(renewed.insert(name.into(), record)),
                Reclassified::Look(record) => {
                    renewed.insert(name.into(), record);
                    self.renew_owners(root, &path);
                    looks.push(path);
                }
            }
        }
        for name in renewed.keys() {
            self.lift_file(page.dir(), name);
        }
        if !renewed.is_empty() {
            self.writer.reclass(id, &mut |name, record| {
                renewed.get(name).copied().unwrap_or(record)
            });
        }
        for (name, record) in &renewed {
            self.on_job_entry(root, dir.join(name).as_bytes(), record, now);
        }
        // A listing finds them all at once.
        if looks.len() > 1 {
            looks = vec![dir];
        }
        for path in looks {
            self.effects.relist(root, path);
        }
        self.arm_page(id, now);
    }

    fn renew(&self, root: RootId, path: &[u8], record: Record) -> Reclassified {
        let owner = self.owner(root, path);
        let (class, job) = self.policy.decide(root, path, &owner);
        let has_newest = match record.class {
            Class::File(rule) => self.policy.rule(rule).since == Since::Newest,
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => true,
        };
        let unruled = Record {
            class: Class::Unruled,
            basis: Timestamp::MIN,
            expire_ms: None,
            ..record
        };
        let (basis, expire_ms) = match class {
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) if has_newest => {
                (record.basis, None)
            }
            // It goes with its job at once: none of its timestamps is before the one that is known.
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => {
                return Reclassified::Look(Record {
                    class,
                    expire_ms: None,
                    ..record
                });
            }
            Class::File(id) => {
                let rule = self.policy.rule(id);
                match rule.since {
                    Since::Newest if has_newest => (record.basis, rule.expire_ms),
                    Since::Mtime | Since::NewestMtime => (record.mtime, rule.expire_ms),
                    Since::Ctime | Since::Btime if record.class == class => {
                        (record.basis, record.expire_ms)
                    }
                    Since::Newest | Since::Ctime | Since::Btime => {
                        return Reclassified::Look(unruled);
                    }
                    Since::CreatedAt
                    | Since::CompletedAt
                    | Since::LastActivity
                    | Since::ExpiresAt => {
                        match job.and_then(|job| rule.since.of_job(&job.moments)) {
                            Some(basis) => (basis, rule.expire_ms),
                            None if has_newest || record.class == class => (record.basis, None),
                            None => return Reclassified::Look(unruled),
                        }
                    }
                }
            }
        };
        let after = Record {
            basis,
            class,
            expire_ms,
            ..record
        };
        if after == record {
            Reclassified::Same
        } else {
            Reclassified::As(after)
        }
    }

    /// Outdates the claims of jobs that own the entry at `path`: one may be its only owner from now
    /// on, and would leave it behind.
    fn outdate_claims_at(&self, root: RootId, path: &[u8]) {
        if self.claims.len() == 0 {
            return;
        }
        for (key, no) in self.owners(root, path) {
            self.outdate_claim(&key, no);
        }
    }

    /// Takes note that something that jobs own is to be looked at: until then they are not
    /// gathered.
    fn renew_owners(&mut self, root: RootId, path: &RelPath) {
        for (key, no) in self.owners(root, path.as_bytes()) {
            self.arriving.renew((key.source, no));
        }
    }

    /// An entry that goes with its job has come, or is the job's now: the job is looked at when it
    /// may go.
    pub(super) fn on_job_entry(&mut self, root: RootId, path: &[u8], record: &Record, now: Now) {
        let Class::Job(_) = record.class else { return };
        for (key, no) in self.owners(root, path) {
            self.arm_job(key.source, no, now);
        }
    }
}
