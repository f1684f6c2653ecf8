#!/bin/sh
# Queue what a directory of JSON Lines files holds, and send what can be sent. For cron:
#
#   */10 * * * * /opt/shop/manual_sync.sh /etc/edgequeue/edgequeue.toml /var/spool/sales
#
# What follows the directory goes to enqueue, such as: --to till. A file is removed only when all of its events are safe
# in the queue, and put aside (.refused) only when one of them is invalid; where the queue is busy or full it stays for
# the next run. Two of these at once do no harm: one of them sends, the other one follows.
set -eu
config=$1
spool=$2
shift 2
edgequeue=${EDGEQUEUE:-edgequeue}

# A configuration, a database or an option that cannot be used is no fault of the files.
said=$($edgequeue --config "$config" enqueue --check "$@" - </dev/null 2>&1) || {
    status=$?
    printf '%s\n' "$said" >&2
    exit "$status"
}

for file in "$spool"/*.jsonl; do
    [ -e "$file" ] || continue
    status=0
    $edgequeue --config "$config" enqueue "$@" "$file" >/dev/null || status=$?
    case $status in
        0) rm -- "$file" ;;
        2) [ ! -r "$file" ] || mv -- "$file" "$file.refused" ;; # the error names the line and what to mend
        *) break ;; # busy, full, interrupted: it has said why, and the others would fare the same
    esac
done

# 0: all delivered · 3: events remain (offline, backing off, paused) · 4: some were refused · 5: the database
status=0
$edgequeue --config "$config" sync --timeout 60 || status=$?
[ "$status" -ne 3 ] || status=0 # sync has said why; no reason to alarm the operator: the next run goes on
exit "$status"
