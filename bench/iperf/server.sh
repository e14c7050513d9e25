#!/bin/sh
# The far end of client.sh: an iperf3 server on every address of this host, for a bounded time.
#
# usage: server.sh [MINUTES]     (default 30)
set -eu

PORT=${PORT:-5201}
MINUTES=${1:-30}

case $MINUTES in
  '' | *[!0-9]*)
    echo "usage: $0 [MINUTES]" >&2
    exit 2
    ;;
esac
for tool in iperf3 timeout; do
  command -v "$tool" >/dev/null || {
    echo "$0: $tool is missing (apt-get install iperf3 coreutils)" >&2
    exit 1
  }
done

echo "iperf3 on port $PORT for $MINUTES minutes; Ctrl-C ends it sooner"
# A client that vanishes in the middle ends its test, so the next one starts afresh.
status=0
timeout "$((MINUTES * 60))" iperf3 --server --port "$PORT" --idle-timeout 60 >/dev/null || status=$?
# 124: the time is over.
[ "$status" -eq 124 ] || exit "$status"
