# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""The clean-up of audio files, carried out by lapsed.

What is removed, how long it is kept and where it is, is said in lapsed's configuration. A run that
could not take place is a RuntimeError; what could not be removed is in CleanupResult.errors.
"""

import asyncio
import json
import logging
import os

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"

logger = logging.getLogger(__name__)

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}


class CleanupConfig:
    """How long files are kept. What is not given is as lapsed's configuration has it."""

    def __init__(
        self,
        failed_session_retention_days=None,
        orphaned_file_retention_hours=None,
        upload_dir=None,
        auto_cleanup_on_startup=None,
        cleanup_schedule_hour=None,
    ):
        self.failed_session_retention_days = failed_session_retention_days
        self.orphaned_file_retention_hours = orphaned_file_retention_hours
        self.upload_dir = upload_dir
        self.auto_cleanup_on_startup = auto_cleanup_on_startup
        self.cleanup_schedule_hour = cleanup_schedule_hour

    @classmethod
    async def load(cls):
        """The configuration in force."""
        return cls(**(await _run("audio_config", []))[0])

    def _arguments(self):
        arguments = []
        for name in ("failed_session_retention_days", "orphaned_file_retention_hours"):
            value = getattr(self, name)
            if value is not None:
                arguments.append("--%s=%s" % (name.replace("_", "-"), value))
        return arguments


class CleanupResult:
    """What was removed, or would be."""

    def __init__(
        self,
        orphaned_files_deleted=(),
        failed_sessions_cleaned=(),
        total_space_freed_mb=0.0,
        errors=(),
        dry_run=False,
        **_counts
    ):
        self.orphaned_files_deleted = list(orphaned_files_deleted)
        self.failed_sessions_cleaned = list(failed_sessions_cleaned)
        self.total_space_freed_mb = total_space_freed_mb
        self.errors = list(errors)
        self.dry_run = dry_run

    def to_dict(self):
        return {
            "orphaned_files_deleted": self.orphaned_files_deleted,
            "orphaned_files_count": len(self.orphaned_files_deleted),
            "failed_sessions_cleaned": self.failed_sessions_cleaned,
            "failed_sessions_count": len(self.failed_sessions_cleaned),
            "total_space_freed_mb": self.total_space_freed_mb,
            "errors": self.errors,
            "error_count": len(self.errors),
            "dry_run": self.dry_run,
        }


class AudioCleanupService:
    """Removes audio that no session needs. db is taken as before, and not used."""

    def __init__(self, db=None, config=None):
        self.db = db
        self.config = config or CleanupConfig()

    async def cleanup_orphaned_files(self, dry_run=False):
        return await self._cleanup("orphaned-files", dry_run)

    async def cleanup_failed_sessions(self, dry_run=False):
        return await self._cleanup("failed-sessions", dry_run)

    async def cleanup_all(self, dry_run=False):
        return await self._cleanup("all", dry_run)

    async def get_cleanup_status(self):
        """What a clean-up would remove."""
        return await self._cleanup("all", True)

    async def _cleanup(self, only, dry_run):
        wanted = self.config.upload_dir
        if wanted is not None:
            known = (await CleanupConfig.load()).upload_dir
            if os.path.normpath(str(wanted)) != os.path.normpath(known):
                raise ValueError("the upload directory is %s, not %s" % (known, wanted))
        return await _clean(only, dry_run, self.config._arguments())


async def run_startup_cleanup(db=None):
    """Cleans up with AUTO_CLEANUP_ON_STARTUP=true; otherwise nothing happens."""
    return await _clean("startup", False, [])


async def run_scheduled_cleanup(db=None, dry_run=False):
    """Cleans up orphaned files and failed sessions."""
    return await _clean("all", dry_run, [])


async def cleanup_expired_exports(db=None, dry_run=False):
    """Removes exports whose expires_at has passed, and empties their rows."""
    return await _clean("expired-exports", dry_run, [])


async def _clean(only, dry_run, arguments):
    arguments = ["--only", only] + arguments + (["--dry-run"] if dry_run else [])
    result, log = await _run("audio_cleanup", arguments)
    for line in log.splitlines():
        level, _, text = line.partition(" ")
        logger.log(LEVELS.get(level, logging.INFO), "%s", text if level in LEVELS else line)
    return CleanupResult(**result)


async def _run(command, arguments):
    process = await asyncio.create_subprocess_exec(
        LAPSED,
        "--config",
        CONFIG,
        "run",
        command,
        "--output",
        "json",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE
    )
    output, log = await process.communicate()
    log = log.decode("utf-8", "replace")
    if process.returncode not in (0, 1) or not output:
        raise RuntimeError(log.strip() or "lapsed ended with %d" % process.returncode)
    return json.loads(output), log
