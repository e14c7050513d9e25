#!/bin/sh
# Measures a tunnel between two real hosts beside the plain path between them, turn by turn.
# On the other host, before: server.sh
#
# usage: client.sh TUNNEL_ADDRESS DIRECT_ADDRESS [SECONDS] [ROUNDS]     (default 10 s, 3 rounds)
# Takes about 8 x SECONDS x ROUNDS. All TCP is cubic; every figure is what the receiver counted, in Mbit/s.
set -eu

PORT=${PORT:-5201}
[ $# -ge 2 ] || {
  sed -n '5p' "$0" | cut -c3- >&2
  exit 2
}
TUNNEL=$1 DIRECT=$2 SECONDS_EACH=${3:-10} ROUNDS=${4:-3}
for tool in iperf3 timeout awk ping; do
  command -v "$tool" >/dev/null || {
    echo "$0: $tool is missing (apt-get install iperf3 coreutils iputils-ping)" >&2
    exit 1
  }
done
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Prints Mbit/s: the last `receiver` line of the sum, or of the only flow; several when both ways.
received() {
  awk '/receiver/ { if (/SUM/) { if (!summed) rate = 0; summed = 1 } else if (summed) next
         for (i = 2; i <= NF; i++) if ($i == "Mbits/sec") rate += $(i - 1) }
       END { if (rate == "") exit 1; print rate }'
}

# measure LOAD ADDRESS NAME OPTION...: one figure, or `-` when the load failed.
measure() {
  load=$1 address=$2 name=$3
  shift 3
  figure=$(timeout "$((SECONDS_EACH + 20))" iperf3 --client "$address" --port "$PORT" --format m \
    --time "$SECONDS_EACH" --connect-timeout 5000 "$@" 2>/dev/null | received) || figure=-
  echo "$load|$name|$figure" >>"$figures"
  echo "  $name, $load: $figure" >&2
}

roundtrip() {
  figure=$(ping -n -q -c 20 -i 0.2 -w 10 "$1" | awk -F/ '/^(rtt|round-trip)/ { print $5 }') || figure=
  echo "ping, ms|$2|${figure:--}" >>"$figures"
}

round=1
while [ "$round" -le "$ROUNDS" ]; do
  echo "round $round of $ROUNDS" >&2
  for pair in "tunnel $TUNNEL" "direct $DIRECT"; do
    name=${pair%% *} address=${pair#* }
    roundtrip "$address" "$name"
    measure 'one TCP flow, there' "$address" "$name" -C cubic
    measure 'one TCP flow, back' "$address" "$name" -C cubic --reverse
    measure 'four TCP flows, there' "$address" "$name" -C cubic --parallel 4
    measure 'UDP 1300 B, there' "$address" "$name" --udp --bitrate 0 --length 1300
  done
  round=$((round + 1))
done

# Medians: sorted within load and path, the middle one.
sort -t '|' -k1,1 -k2,2 -k3,3n "$figures" | awk -F '|' '
  $3 != "-" { key = $1 "|" $2; values[key, ++count[key]] = $3 }
  !seen[$1]++ { loads[++n] = $1 }
  function median(key) { return count[key] ? values[key, int((count[key] + 1) / 2)] : "-" }
  END {
    printf "%-24s %10s %10s %8s\n", "median of rounds", "tunnel", "direct", "ratio"
    for (i = 1; i <= n; i++) {
      t = median(loads[i] "|tunnel"); d = median(loads[i] "|direct")
      ratio = (t == "-" || d == "-" || d == 0) ? "-" : sprintf("%.2f", t / d)
      printf "%-24s %10s %10s %8s\n", loads[i], t, d, ratio
    }
  }'
