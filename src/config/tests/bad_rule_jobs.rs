//! Refused keys of rules that concern jobs, with the whole message.

use super::*;

/// Two roots, of which only the first is owned; two databases, of which only the first can mark.
const WORLD: &str = r#"
[[root]]
path = "owned"
owner = "{job}/**"
source = "a"
orphans = "{uuid}/**"
[[root]]
path = "plain"
[[source]]
name = "a"
kind = "sqlite"
path = "a.db"
select = "SELECT id FROM jobs"
mark = "UPDATE jobs SET cleaned = 1 WHERE id = :job"
[[source]]
name = "b"
kind = "sqlite"
path = "b.db"
select = "SELECT id FROM jobs"
"#;

/// The world, with a rule whose keys begin on line 3.
fn rule(text: &str) -> Host {
    Host::with(&format!("[[rule]]\nname = \"r\"\n{text}\n{WORLD}"))
}

#[test]
fn words() {
    refused!(rule("expire = \"1d\"\njob = [\"running\", \"complete\", \"pending\"]"), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": job = "complete" is an unknown value
      allowed: completed, failed, cancelled, none; did you mean "completed"?
    HOST/etc/lapsed.toml:4: [[rule]] "r": job = "pending" can never match: files of unfinished jobs are never removed
      allowed: completed, failed, cancelled, none
    HOST/etc/lapsed.toml:4: [[rule]] "r": job = "running" can never match: files of unfinished jobs are never removed
      allowed: completed, failed, cancelled, none
    "#);
    refused!(rule("expire = \"1d\"\njob = [\"none\", \"failed\"]"), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": job = "none" cannot be combined with a status: an orphan has no job
      write two rules, one with job = "none"
    "#);
    refused!(rule("expire = \"1d\"\njob = []\nkind = \"\"\nsource = \"c\"\nrecord = \"erase\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": job = [] is an empty list
      omit job, or write such as job = ["completed", "failed"]
    HOST/etc/lapsed.toml:5: [[rule]] "r": kind = "" is empty, but must be a name
    HOST/etc/lapsed.toml:6: [[rule]] "r": source = "c" is an unknown source
      allowed: a, b, api; did you mean "a"?
    HOST/etc/lapsed.toml:7: [[rule]] "r": record = "erase" is an unknown value
      allowed: keep, mark, forget
    "#);
    refused!(rule("expire = \"1d\"\nunit = \"jobs\"\nsince = \"created\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": unit = "jobs" is an unknown value
      allowed: file, dir, job; did you mean "job"?
    HOST/etc/lapsed.toml:5: [[rule]] "r": since = "created" is an unknown value
      allowed: newest, mtime, newest_mtime, ctime, btime, created_at, completed_at, last_activity, expires_at
    "#);
    refused!(rule("job = \"failed\""), @r#"
    HOST/etc/lapsed.toml:1: [[rule]] "r": expire is missing
      such as expire = "7d", or expire = "never"
    "#);
}

#[test]
fn timestamps() {
    refused!(rule("expire = \"1d\"\nsince = \"completed_at\"\nroot = \"plain\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": since = "completed_at" is a timestamp of a job, and none of the rule's roots has a source
      add owner = "{job}/**" or source = "…" to the [[root]], or write unit = "job"
    "#);
    refused!(Host::with_rule("expire = \"1d\"\nsince = \"expires_at\"\nunit = \"dir\""), @r#"
    HOST/etc/lapsed.toml:6: [[rule]] "r": since = "expires_at" is a timestamp of a job, and no root has a source
      add owner = "{job}/**" or source = "…" to the [[root]], or write unit = "job"
    "#);
    refused!(rule("expire = \"1d\"\nsince = \"mtime\"\nunit = \"job\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": since = "mtime" is a timestamp of one file, and a job may own many
      allowed with unit = "job": newest, newest_mtime, created_at, completed_at, last_activity, expires_at
    "#);
}

#[test]
fn units() {
    refused!(rule("expire = \"1d\"\nunit = \"job\"\nroot = \"plain\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": unit = "job" can never match: none of the rule's roots has a source
      add owner = "{job}/**" or source = "…" to the [[root]], or source = "…" to the rule
    "#);
    refused!(rule("expire = \"1d\"\nunit = \"job\"\nglob = \"/x\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": glob = "/x" can never match: it begins with "/"
      patterns are matched with paths from the root; write "x"
    "#);
}

#[test]
fn orphans() {
    refused!(rule("job = \"none\"\nunit = \"job\"\nkind = \"x\"\nsource = \"a\"\nsince = \"created_at\"\nrecord = \"mark\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": unit = "job" cannot be combined with job = "none": an orphan has no job
      allowed: file, dir
    HOST/etc/lapsed.toml:5: [[rule]] "r": kind = "x" cannot be combined with job = "none": an orphan has no kind
      leave it out
    HOST/etc/lapsed.toml:6: [[rule]] "r": source = "a" cannot be combined with job = "none": the root determines which files may be orphans
      leave it out, or name the roots of that source: root = …
    HOST/etc/lapsed.toml:7: [[rule]] "r": since = "created_at" cannot be combined with job = "none": it is a timestamp of a job
      allowed: newest, mtime, newest_mtime, ctime, btime
    HOST/etc/lapsed.toml:8: [[rule]] "r": record = "mark" cannot be combined with job = "none": an orphan has no record
      leave it out
    "#);
    refused!(rule("job = \"none\"\nroot = [\"owned\", \"plain\"]"), @r#"
    HOST/etc/lapsed.toml:3: [[rule]] "r": job = "none" can never match in root "plain", which has no orphans template
      add orphans = "{uuid}/**" to the [[root]]
    "#);
    refused!(Host::with_rule("job = \"none\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": job = "none" can never match: no root has an orphans template
      add orphans = "{uuid}/**" to the [[root]]
    "#);
}

#[test]
fn records() {
    refused!(rule("expire = \"1d\"\nrecord = \"mark\""), @r#"
    HOST/etc/lapsed.toml:4: [[rule]] "r": record = "mark" needs unit = "job": a record changes when all files of its job are gone
      write unit = "job", or leave record out
    "#);
    refused!(rule("expire = \"1d\"\nunit = \"job\"\nrecord = \"mark\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": record = "mark" needs mark statements, which source "b" does not have
      write such as mark = "UPDATE jobs SET cleaned_at = :now WHERE id = :job" in the [[source]], or name other sources in the rule: source = "…"
    "#);
    refused!(rule("expire = \"1d\"\nunit = \"job\"\nrecord = \"forget\"\nsource = [\"a\", \"b\", \"api\"]"), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": record = "forget" needs forget statements, which sources "a", "b" do not have
      write such as forget = "DELETE FROM jobs WHERE id = :job" in the [[source]], or name other sources in the rule: source = "…"
    "#);
    refused!(rule("expire = \"1d\"\nunit = \"job\"\nrecord = \"forget\"\nroot = \"owned\""), @r#"
    HOST/etc/lapsed.toml:5: [[rule]] "r": record = "forget" needs forget statements, which source "a" does not have
      write such as forget = "DELETE FROM jobs WHERE id = :job" in the [[source]], or name other sources in the rule: source = "…"
    "#);
    rule("expire = \"1d\"\nunit = \"job\"\nrecord = \"mark\"\nroot = [\"owned\", \"plain\"]")
        .good();
    rule("expire = \"1d\"\nunit = \"job\"\nrecord = \"forget\"\nsource = \"api\"").good();
}
