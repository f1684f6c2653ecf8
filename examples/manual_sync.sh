#!/bin/sh
# Queue what a directory of JSON Lines files holds, and send what can be sent. For cron:
#
#   */10 * * * * /opt/shop/manual_sync.sh /etc/edgequeue/edgequeue.toml /var/spool/sales
#
# A file is removed only when all of its events are safe in the queue. Two of these at once do no harm: one of them
# sends, the other one follows.
set -eu
config=$1
spool=$2
edgequeue=${EDGEQUEUE:-edgequeue}

for file in "$spool"/*.jsonl; do
    [ -e "$file" ] || continue
    if $edgequeue --config "$config" enqueue "$file" >/dev/null; then
        rm -- "$file"
    else
        mv -- "$file" "$file.refused" # the error on standard error names the line and what to mend
    fi
done

# 0: all delivered · 3: events remain (offline, backing off, paused) · 4: some were refused · 5: the database
status=0
$edgequeue --config "$config" sync --timeout 60 || status=$?
case $status in
    0) ;;
    3) $edgequeue --config "$config" why ;; # no reason to mail the operator: the next run goes on
    *) exit "$status" ;;
esac
