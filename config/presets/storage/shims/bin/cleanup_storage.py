#!/usr/bin/env python3
# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""Cleans up old jobs and orphaned files: `lapsed run cleanup_storage`, with the same arguments."""

import os
import sys

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"


def main():
    command = [LAPSED, "--config", CONFIG, "run", "cleanup_storage"] + sys.argv[1:]
    try:
        os.execv(LAPSED, command)
    except OSError as error:
        print("error: cannot run %s: %s" % (LAPSED, error.strerror), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
