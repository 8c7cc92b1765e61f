# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""Clean-up of temporary drawings and icons, carried out by lapsed.

Directories are storage/output and storage/temp_svgs, as the configuration has them: any other one is a
ValueError.
"""

import json
import os
import subprocess
import time

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"

PATTERNS = ["formal_*-*-*-*-*.svg", "intuitive_*-*-*-*-*.svg"]
ARCHIVES = ["formal_*_*-*-*-*-*.svg", "intuitive_*_*-*-*-*-*.svg"]


class FileCleanupManager:
    """Manages cleanup of the temporary files in one directory."""

    def __init__(
        self, output_dir, max_age_hours=24, cleanup_patterns=None, include_archives=False
    ):
        self.output_dir = output_dir
        self.max_age_seconds = max_age_hours * 3600
        self.include_archives = include_archives
        self._narrowed = cleanup_patterns is not None
        if cleanup_patterns is None:
            cleanup_patterns = PATTERNS + (ARCHIVES if include_archives else [])
        self.cleanup_patterns = list(cleanup_patterns)

    def get_file_age_seconds(self, filepath):
        """Age of a file in seconds; None if there is no telling."""
        try:
            return time.time() - os.stat(filepath).st_mtime
        except OSError:
            return None

    def should_cleanup_file(self, filepath):
        """True if the file is old enough."""
        age = self.get_file_age_seconds(filepath)
        return age is not None and age > self.max_age_seconds

    def cleanup_old_files(self):
        """Removes old temporary files. Patterns of one's own can only narrow those of lapsed."""
        arguments = self._arguments()
        if self._narrowed:
            for pattern in self.cleanup_patterns:
                if "\n" in pattern or "/" in pattern:
                    raise ValueError("not the name of a file: %r" % (pattern,))
            arguments.append("--patterns=%s" % "\n".join(self.cleanup_patterns))
        return _run("cleanup_directory", arguments)

    def get_storage_stats(self):
        """Numbers and sizes of temporary files, and of those that are old enough."""
        return _run("directory_stats", self._arguments())

    def _arguments(self):
        hours = repr(self.max_age_seconds / 3600)
        arguments = ["--directory=%s" % _root(self.output_dir), "--age-hours=%s" % hours]
        if self.include_archives:
            arguments.append("--include-archives")
        return arguments


def cleanup_temp_files(output_dir, max_age_hours=24):
    """Removes old temporary files of a directory."""
    return FileCleanupManager(output_dir, max_age_hours).cleanup_old_files()


def get_storage_stats(output_dir, max_age_hours=24):
    """Numbers and sizes of the temporary files of a directory."""
    return FileCleanupManager(output_dir, max_age_hours).get_storage_stats()


def _root(directory):
    roots = _run("cleanup_directories", [])
    for name, path in roots.items():
        if os.path.realpath(directory) == os.path.realpath(path):
            return name
    known = ", ".join(sorted(roots.values()))
    raise ValueError("%s is none of the directories that are cleaned: %s" % (directory, known))


def _run(command, arguments):
    done = subprocess.run(
        [LAPSED, "--quiet", "--config", CONFIG, "run", command, "--output", "json"] + arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(done.stderr.strip() or "lapsed ended with %d" % done.returncode)
    return json.loads(done.stdout)
