//! Hostile values through the scripts that take the place of the original's.

use serde_json::json;

use super::document::Shell;
use super::eemt_document;

/// What is tried with each value: it is refused, or no job is called so; a value of 1 MB is more than the system lets a program have.
const PROGRAM: &str = r#"
import json, os, subprocess, sys
sys.dont_write_bytecode = True
from cleanup_jobs import JobCleanupManager
for value in json.load(open(os.environ["VALUES"])):
    flags = ["--success-retention-days", "--failed-retention-hours", "--base-dir", "--dry-run=" + value]
    for flag in flags:
        if flag == "--base-dir" and value in ("", ".."):
            continue  # directories that there are
        words = [flag] if "=" in flag else [flag, value]
        try:
            done = subprocess.run([sys.executable, "cleanup_jobs.py"] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError:
            assert len(value) >= 1 << 17
            continue
        assert done.returncode == 2, (flag[:40], value[:40], done)
    manager = JobCleanupManager()
    for change in [dict(id=value), dict(id="a", days=value)]:
        try:
            manager.success_retention_days = change.get("days", 7)
            manager.cleanup_job_data({"id": change["id"]})
        except (ValueError, RuntimeError, OSError):
            pass
        else:
            raise AssertionError(value[:40])
print("done")
"#;

#[test]
fn hostile_values_through_the_script_of_eemt_change_nothing() {
    let eemt = eemt_document::world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let values = [
        "{{ 7 * 7 }}",
        "{% for x in settings.roots %}{{ x }}{% endfor %}",
        "7\"}, \"dry_run\": false, \"rules\": [\"*\"], \"x\": {\"",
        "7\n--dry-run=false",
        "$(touch pwned)`touch pwned`;touch pwned",
        "'; touch pwned; '",
        "*",
        "..",
        "",
        &"x".repeat(100_000),
        &"x".repeat(1 << 20),
    ];
    let file = eemt.site.place.path("bin/values.json");
    std::fs::write(&file, json!(values).to_string()).unwrap();
    shell.export("VALUES", file.to_str().unwrap());
    let (before, rows) = (eemt.site.tree(), eemt.rows());
    assert_eq!(shell.python(PROGRAM), "done\n");
    eemt.site.assert_same(&before);
    assert_eq!(eemt.rows(), rows);
}
