#!/bin/sh
# Runs a server so that it cannot outlive its test: supervise.sh LOG DELETE COMMAND …
#
# Prints `pid N` at once and `gone STATUS` when the command has ended. Each line on stdin is the name of a
# signal to send. When stdin ends, because the test process closed it or died, the command is
# killed and the folder DELETE (may be empty) removed.
trap '' PIPE
log=$1 delete=$2
shift 2
exec 3<&0
"$@" >>"$log" 2>&1 </dev/null 3<&- &
pid=$!
# The shell would report the death of the command there.
exec 2>/dev/null
echo "pid $pid"
(
    while read -r signal <&3; do kill -s "$signal" "$pid" 2>/dev/null; done
    kill -s KILL "$pid" 2>/dev/null
) &
watcher=$!
wait "$pid"
status=$?
kill "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
echo "gone $status"
# As long as the owner lives it may want the folder again, for a restart, and then says so.
while read -r word <&3; do [ "$word" != KEEP ] || exit 0; done
[ -z "$delete" ] || { rm -rf "$delete"; rmdir "$(dirname "$delete")" 2>/dev/null; }
