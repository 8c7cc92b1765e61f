#!/usr/bin/env python3
# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""Cleans up data of old EEMT jobs: `lapsed run cleanup_jobs`, with the same arguments.

As a module it has the class JobCleanupManager.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"

logger = logging.getLogger(__name__)


class JobCleanupManager:
    """Manages automated cleanup of EEMT job data. lapsed carries it out."""

    def __init__(self, base_dir=Path("./"), dry_run=False):
        self.base_dir = Path(base_dir)
        self.dry_run = dry_run
        self.db_path = self.base_dir / "jobs.db"
        self.results_dir = self.base_dir / "results"
        self.uploads_dir = self.base_dir / "uploads"
        self.success_retention_days = int(os.getenv("EEMT_SUCCESS_RETENTION_DAYS", "7"))
        self.failed_retention_hours = int(os.getenv("EEMT_FAILED_RETENTION_HOURS", "12"))

    def get_jobs_for_cleanup(self):
        """The jobs that are due, oldest first: those that succeeded, and those that failed."""
        found = self._run("cleanup_candidates", ["--dry-run"])
        return found["successful"], found["failed"]

    def cleanup_job_data(self, job, keep_job_config=True):
        """Removes the data of one job that is due, and returns what went of it.

        Whether its row is kept is said in the configuration: another wish is a ValueError.
        """
        arguments = ["--job=%s" % job["id"]]
        expected = self._run("cleanup_job", arguments + ["--dry-run"])
        if not expected["job_details"]:
            raise ValueError("no job that is due: %r" % (job["id"],))
        if expected["job_details"][0]["config_preserved"] != bool(keep_job_config):
            raise ValueError(
                "the configuration %s the record of job %r"
                % ("removes" if keep_job_config else "keeps", job["id"])
            )
        if not self.dry_run:
            expected = self._run("cleanup_job", arguments)
        details = expected["job_details"]
        if expected["errors"]:
            raise OSError("; ".join(expected["errors"]))
        return details[0] if details else None

    def run_cleanup(self):
        """Removes what is due, writes the summary file, and returns the summary."""
        return self._run("cleanup_jobs", ["--dry-run"] if self.dry_run else [])

    def _get_directory_size_mb(self, path):
        """Size of all files below a directory, in MB."""
        total = 0
        for place, _, names in os.walk(str(path)):
            for name in names:
                try:
                    total += os.lstat(os.path.join(place, name)).st_size
                except OSError:
                    continue
        return total / (1024 * 1024)

    def _run(self, command, arguments):
        arguments = list(arguments)
        arguments.append("--success-retention-days=%s" % self.success_retention_days)
        arguments.append("--failed-retention-hours=%s" % self.failed_retention_hours)
        configured = json.loads(_lapsed("cleanup_settings", []).stdout)["base_dir"]
        if os.path.realpath(str(self.base_dir)) != os.path.realpath(configured):
            arguments.append("--base-dir=%s" % os.path.realpath(str(self.base_dir)))
        done = _lapsed(command, arguments)
        for line in done.stderr.splitlines():
            logger.info("%s", line)
        if done.returncode not in (0, 1) or not done.stdout:
            raise RuntimeError(done.stderr.strip() or "lapsed ended with %d" % done.returncode)
        return json.loads(done.stdout)


def _command(name, arguments):
    return [LAPSED, "--quiet", "--config", CONFIG, "run", name] + list(arguments)


def _lapsed(name, arguments):
    return subprocess.run(
        _command(name, ["--output", "json"] + list(arguments)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def main():
    try:
        os.execv(LAPSED, _command("cleanup_jobs", sys.argv[1:]))
    except OSError as error:
        print("error: cannot run %s: %s" % (LAPSED, error.strerror), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
