#!/bin/sh
# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
# Has cleanup_jobs run daily at 2:00 AM: --user [default] or --system, --method cron [default] or systemd.
set -eu
dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
if crontab -l 2>/dev/null | grep -q -F "python3 cleanup_jobs.py"; then
    echo "note: the crontab has an entry of the original script, too: remove it with crontab -e" >&2
fi
exec '@LAPSED@' --config '@CONFIG@' install --run cleanup_jobs --at "0 2 * * *" --unit eemt-cleanup \
    --log "$dir/cleanup_jobs.log" "$@"
