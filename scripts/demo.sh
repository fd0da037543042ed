#!/usr/bin/env bash
# A honeypot on loopback with a made-up week behind it and a visit every few seconds: every view of the console is alive
# within a minute. Nothing of it comes from a real host, and nothing leaves this machine. Ctrl-C ends all of it.
# DATA: where the week is kept (made where it is missing, and anew where it is older than half a day and of ours).
set -euo pipefail
cd "$(dirname "$0")/.."
bin="${BIN:-target/release}"
data="${DATA:-${TMPDIR:-/tmp}/roridula-demo-$(id -u)}"
listen="${LISTEN:-127.0.0.1:4445}"
listen="${listen%% *}"
mark="$data/made-by-demo"

# A week that was not finished is no week; one that somebody named is left alone.
if [ -e "$mark" ]; then stale="$(find "$mark" -mmin +720)"; else stale="${DATA:-unfinished}"; fi
if [ -n "$stale" ] && { [ -e "$mark" ] || [ -z "${DATA:-}" ]; }; then
    rm -rf -- "$data"
fi
if [ ! -e "$data/journal.sqlite" ]; then
    printf 'demo: making a week in %s\n' "$data"
    "$bin/roridula-lab" history --out "$data" --seed "$RANDOM"
    "$bin/roridula" triage --all --data "$data"
    : >"$mark"
fi

honeypot='' trickle=''
end() {
    trap - INT TERM EXIT
    # Already gone is fine.
    [ -z "$trickle" ] || kill "$trickle" 2>/dev/null || true
    [ -z "$honeypot" ] || kill "$honeypot" 2>/dev/null || true
    [ -z "$honeypot" ] || wait "$honeypot" || true
}
trap end INT TERM EXIT
"$bin/roridula" run --data "$data" --listen "$listen" --set implant.policy=present "$@" &
honeypot=$!
"$bin/roridula-lab" trickle --target "$listen" --every 3 --seed "$RANDOM" &
trickle=$!
wait "$honeypot"
