#!/usr/bin/env bash
# Makes `docker compose` work where only the engine is installed, as on Debian bookworm, whose docker-compose
# package is still the retired version 1: fetches the one binary out of Debian trixie's package as a CLI plugin.
set -euo pipefail

timeout 20 docker compose version >/dev/null 2>&1 && exit

if ! grep -qs '^ID=debian$' /etc/os-release; then
    echo "Docker Compose v2 is missing; install it: https://docs.docker.com/compose/install/" >&2
    exit 1
fi

plugins=~/.docker/cli-plugins
if [[ $EUID == 0 ]]; then plugins=/usr/local/lib/docker/cli-plugins; fi
echo "Installing Docker Compose from Debian trixie into $plugins"

mirror=$("$(dirname "$0")/debian-mirror.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# A private apt that knows trixie alone, so the machine's own package lists stay as they are. It checks the
# archive's signature, and the package against the signed list, as ever.
mkdir -p lists/partial cache/archives/partial
touch status
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror trixie main" >sources.list
apt=(timeout 300 apt-get -qq
    -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists"
    -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)")
"${apt[@]}" update
"${apt[@]}" download docker-compose

dpkg-deb -x docker-compose_*.deb unpacked
install -D -m 755 unpacked/usr/libexec/docker/cli-plugins/docker-compose "$plugins/docker-compose"
timeout 20 docker compose version >/dev/null
