# Installed by lapsed init --shims; lapsed uninstall --shims removes it.
"""The clean-up functions of omr_pipeline.py, carried out by lapsed.

In omr_pipeline.py, two lines take the place of the functions:

    from lapsed_omr import attach, cleanup_old_jobs, cleanup_temp_output_dirs
    attach(_jobs)                       # below the definition of _jobs
"""

import datetime
import json
import logging
import os
import subprocess
import threading

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"

logger = logging.getLogger(__name__)

# Seconds between two looks at attached jobs.
EVERY = 60

# Words for the status of a job. A job with any other one counts as running.
STATUS = {
    "pending": "pending",
    "queued": "pending",
    "completed": "completed",
    "complete": "completed",
    "done": "completed",
    "success": "completed",
    "finished": "completed",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
}
ENDED = ("completed", "failed", "cancelled")

_attached = []
_lock = threading.Lock()


def cleanup_old_jobs(
    base_output_dir, base_upload_dir=None, retention_days=None, dry_run=False
):
    """Removes old job directories, and jobs from memory.

    retention_days: None is JOB_RETENTION_DAYS. A directory that the configuration does not have is
    a ValueError. Returns the statistics of the clean-up.
    """
    roots = _run("omr_roots")
    _check(base_output_dir, roots, "jobs")
    arguments = _arguments(retention_days, dry_run)
    if base_upload_dir is None:
        arguments.append("--no-uploads")
    else:
        _check(base_upload_dir, roots, "uploads")
    sync()
    result = _run("omr_jobs", *arguments)
    if not dry_run:
        sync()
    return result


def cleanup_temp_output_dirs(
    base_dir, patterns=None, retention_days=None, dry_run=False
):
    """Removes old files in temporary output directories.

    patterns: globs of directory names; None is ['omr_output_*', 'omr_pipeline_*'], and others can
    only narrow these. Returns the statistics of the clean-up.
    """
    _check(base_dir, _run("omr_roots"), "temporary")
    arguments = _arguments(retention_days, dry_run)
    if patterns is not None:
        for pattern in patterns:
            if "\n" in pattern or "/" in pattern:
                raise ValueError("not the name of a directory: %r" % (pattern,))
        arguments += ["--patterns", "\n".join(patterns)]
    return _run("omr_temporary", *arguments)


def attach(jobs, every=EVERY):
    """Tells lapsed of the jobs in this dict from now on, and drops from it those that lapsed forgot.

    What is still pending or running is protected. Takes a daemon of lapsed; while there is none,
    nothing is told and nothing is dropped.
    """
    entry = {"jobs": jobs, "told": {}}
    with _lock:
        _attached.append(entry)
    stopped = threading.Event()

    def follow():
        sync()
        while not stopped.wait(every):
            sync()

    threading.Thread(target=follow, name="lapsed", daemon=True).start()
    return stopped.set


def sync():
    """Tells what is new about attached jobs, and drops those that lapsed forgot."""
    with _lock:
        for entry in _attached:
            try:
                _sync_one(entry["jobs"], entry["told"])
            except (OSError, RuntimeError, ValueError) as error:
                logger.warning("jobs cannot be told to lapsed: %s", error)


def _sync_one(jobs, told):
    for name, job in list(jobs.items()):
        state = (_status(job), _instant(_value(job, "created_at")))
        if told.get(name) == state:
            continue
        arguments = ["--status", state[0]]
        if state[1]:
            arguments += ["--created-at", state[1]]
        done = _lapsed("job", "put", *(arguments + ["--", str(name)]))
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        told[name] = state
    ended = [name for name, state in told.items() if state[0] in ENDED]
    if not ended:
        return
    listed = _lapsed("job", "ls", "--json")
    if listed.returncode != 0:
        raise RuntimeError(listed.stderr.strip())
    known = set()
    for line in listed.stdout.splitlines():
        known.add(json.loads(line).get("id"))
    for name in ended:
        if str(name) in known:
            continue
        # Only what lapsed itself says it forgot, not what it does not know.
        got = _lapsed("job", "get", "--json", "--", str(name))
        if got.returncode == 0 and json.loads(got.stdout).get("forgotten") is True:
            jobs.pop(name, None)
            told.pop(name, None)


def _value(job, name):
    if isinstance(job, dict):
        return job.get(name)
    return getattr(job, name, None)


def _status(job):
    status = _value(job, "status")
    status = getattr(status, "value", status)
    return STATUS.get(str(status).lower(), "running")


def _instant(value):
    """RFC 3339; times without a zone are local. None for what is no time."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        value = datetime.datetime.fromtimestamp(value)
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime.datetime):
        return None
    return value.astimezone(datetime.timezone.utc).isoformat()


def _arguments(retention_days, dry_run):
    arguments = ["--dry-run"] if dry_run else []
    if retention_days is not None:
        arguments += ["--retention-days", str(retention_days)]
    return arguments


def _check(directory, roots, name):
    if os.path.realpath(directory) != os.path.realpath(roots[name]):
        known = ", ".join("%s: %s" % pair for pair in sorted(roots.items()))
        raise ValueError("%s is not the directory of %s (%s)" % (directory, name, known))


def _run(command, *arguments):
    done = _lapsed("run", command, "--output", "json", *arguments)
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr.strip() or "lapsed ended with %d" % done.returncode)
    return json.loads(done.stdout)


def _lapsed(*arguments):
    return subprocess.run(
        [LAPSED, "--quiet", "--config", CONFIG] + list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
