#!/usr/bin/env bash
# Makes sure a Docker engine answers. On a bare Debian or Ubuntu machine (a CI runner, say) root gets the
# distribution's engine, started by hand where no init system runs; anybody else is told what to do.
set -euo pipefail

answers() { timeout 20 docker version >/dev/null 2>&1; }
answers && exit

if [[ $EUID != 0 || -n ${DOCKER_HOST:-} ]] || ! grep -qsE '^ID=(debian|ubuntu)$' /etc/os-release; then
    echo "No Docker engine answers; start it (and join the group docker), or install it:" \
        "https://docs.docker.com/engine/install/" >&2
    exit 1
fi

install() {
    DEBIAN_FRONTEND=noninteractive timeout 600 apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@" >/dev/null
}

if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    echo "Installing the Docker engine from the distribution's packages"
    timeout 300 apt-get update -qq
    command -v dockerd >/dev/null || install docker.io
    command -v docker >/dev/null || install docker-cli  # a package of its own since Debian trixie
fi

log=/var/log/dockerd.log
if [[ -d /run/systemd/system ]]; then
    timeout 120 systemctl start docker
else
    echo "Starting dockerd, as no init system does (its log: $log)"
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
fi

for _ in {1..60}; do
    answers && exit
    sleep 1
done
echo "The Docker engine did not start within a minute; see $log" >&2
exit 1
