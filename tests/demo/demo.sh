#!/usr/bin/env bash
# The stack's main job on a machine without a domain: compose.yaml as it is, with a certificate authority of its own.
# Ends with what a newcomer can repeat, and leaves everything running; "make down" removes it.
set -euo pipefail
cd "$(dirname "$0")/../.."

names=(app.demo.test www.demo.test api.demo.test)
root=.cache/demo-root.pem
patience=90

compose=(timeout --foreground 900 docker compose -p companion-demo -f compose.yaml -f compose.demo.yaml)
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

trusted() {
    local name
    for name in "${names[@]}"; do
        curl -sf --max-time 5 --cacert "$root" --resolve "$name:443:127.0.0.1" "https://$name/" >/dev/null || return
    done
}

step "Building the images (minutes the first time, then seconds)"
"${compose[@]}" build --quiet

step "Starting HAProxy, certbot, a certificate authority (Pebble) and two web containers"
started=$(date +%s%N)
"${compose[@]}" --progress quiet up --detach

step "What HAProxy's agent and certbot's loop say while ${names[*]} get their certificates"
"${compose[@]}" --ansi never logs --follow --no-log-prefix haproxy letsencrypt 2>/dev/null &
logs=$!
trap 'kill "$logs" 2>/dev/null || true' EXIT

mkdir -p .cache
"${compose[@]}" exec -T ca curl -sf --capath /acme-ca https://localhost:15000/roots/0 >"$root"
deadline=$((SECONDS + patience))
until trusted; do
    if ((SECONDS > deadline)); then
        echo "No trusted certificate for all of ${names[*]} within $patience s; the lines above say why." >&2
        exit 1
    fi
    read -rt 0.2 <> <(:) || true
done
took=$((($(date +%s%N) - started) / 1000000))
kill "$logs"
wait "$logs" 2>/dev/null || true

step "All names answer with a chain that leads to the demo's root, $((took / 1000)).$((took / 100 % 10)) s after the containers were started. Try it:"
show() {
    printf '$ %s\n' "$*"
    "$@"
}
for name in "${names[@]}"; do
    show curl -s --cacert "$root" --resolve "$name:443:127.0.0.1" "https://$name/"
done
show curl -sI --resolve app.demo.test:80:127.0.0.1 http://app.demo.test/hello
show docker compose -p companion-demo exec haproxy companion status
echo
echo "It keeps running; 'make down' removes it."
