#!/usr/bin/env python3
# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""Cleans up temporary drawings and icons, and idle tutor sessions: `lapsed run cleanup_temp_files`, with the same arguments."""

import os
import sys

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"


def main():
    command = [LAPSED, "--quiet", "--config", CONFIG, "run", "cleanup_temp_files"]
    try:
        os.execv(LAPSED, command + sys.argv[1:])
    except OSError as error:
        print("error: cannot run %s: %s" % (LAPSED, error.strerror), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
