#!/bin/sh
# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
# Has cleanup_jobs.py, beside this script, run daily at 2:00 AM, by cron or by a timer of systemd.
set -eu

usage() {
    echo "Usage: $0 [--user | --system] [--method cron|systemd]"
    echo "  --user      for the calling user [default]"
    echo "  --system    for the host: takes root"
    echo "  --method M  cron [default] or systemd"
}

scope=user
method=cron
while [ $# -gt 0 ]; do
    case $1 in
        --user) scope=user ;;
        --system) scope=system ;;
        --method=*) method=${1#--method=} ;;
        --method)
            [ $# -gt 1 ] || { usage >&2; exit 2; }
            method=$2
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) echo "error: unknown argument: $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
case $method in
    cron | systemd) ;;
    *) echo "error: --method is cron or systemd" >&2; exit 2 ;;
esac

dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
case $dir in
    *[!A-Za-z0-9/._+@:,=-]*)
        echo "error: $dir has characters that neither crontab nor unit files take as they are" >&2
        exit 2
        ;;
esac
# As packagers have it: what is written lies below DESTDIR.
root=${DESTDIR:-}
about="# Daily at 2:00 AM"
what="cd $dir && python3 cleanup_jobs.py >> cleanup_jobs.log 2>&1"

if [ "$method" = cron ]; then
    if [ "$scope" = user ]; then
        others=$(crontab -l 2>/dev/null | grep -v -F -e "python3 cleanup_jobs.py >> cleanup_jobs.log" -e "$about" || true)
        {
            if [ -n "$others" ]; then printf '%s\n' "$others"; fi
            printf '%s\n' "$about" "0 2 * * * $what"
        } | crontab -
        echo "added to the crontab of $(id -un): 0 2 * * * $what"
    else
        owner=$(stat -c %U -- "$dir")
        file=$root/etc/cron.d/eemt-cleanup
        mkdir -p "$root/etc/cron.d"
        printf '%s\n' "$about" "0 2 * * * $owner $what" > "$file"
        chmod 644 "$file"
        echo "wrote $file"
    fi
    exit 0
fi

if [ "$scope" = user ]; then
    units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
    control="systemctl --user"
    as=
else
    units=$root/etc/systemd/system
    control=systemctl
    as="User=$(stat -c %U -- "$dir")"
fi
mkdir -p "$units"
cat > "$units/eemt-cleanup.service" <<UNIT
[Unit]
Description=EEMT job data cleanup

[Service]
Type=oneshot
WorkingDirectory=$dir
ExecStart=/usr/bin/env python3 $dir/cleanup_jobs.py
$as
UNIT
cat > "$units/eemt-cleanup.timer" <<UNIT
[Unit]
Description=Run EEMT job data cleanup daily at 2:00 AM

[Timer]
OnCalendar=*-*-* 02:00:00
RandomizedDelaySec=300
Persistent=true

[Install]
WantedBy=timers.target
UNIT
$control daemon-reload
$control enable --now eemt-cleanup.timer
echo "wrote $units/eemt-cleanup.service and eemt-cleanup.timer"
