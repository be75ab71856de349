#!/usr/bin/env bash
# Makes sure the image every Dockerfile starts from is there. Where no registry can be reached, Debian's own
# debootstrap builds an equal one under the same tag from the machine's package mirror, so that the Dockerfiles
# need no second way.
set -euo pipefail

image=${BASE_IMAGE:-debian:trixie-slim}
here=$(dirname "$(realpath "$0")")

present() { timeout 20 docker image inspect "$image" >/dev/null 2>&1; }
present && exit

# One caller works; the others wait here and then find it done.
exec 9<"$here/base-image.sh"
flock --timeout 1200 9
present && exit
timeout 300 docker pull --quiet "$image" >/dev/null 2>&1 && exit

if [[ $EUID != 0 || ! $image =~ ^debian:([a-z]+)(-[a-z]+)?$ ]] || ! grep -qs '^ID=debian$' /etc/os-release; then
    echo "Cannot pull $image; check the connection to its registry, or name another image in BASE_IMAGE." >&2
    exit 1
fi
suite=${BASH_REMATCH[1]}
echo "No registry has $image for us: building it from Debian's packages, in about a minute"

umask 022
mirror=$("$here/debian-mirror.sh")
security=$("$here/debian-mirror.sh" security)
if ! command -v debootstrap >/dev/null; then
    timeout 300 apt-get update -qq
    DEBIAN_FRONTEND=noninteractive timeout 300 apt-get install -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=120 debootstrap >/dev/null
fi

work=$(mktemp -d -p /var/tmp)  # not /tmp, which may be mounted without devices
trap 'rm -rf "$work"' EXIT
root=$work/root
if ! timeout 900 debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror" >"$work/log"
then
    tail -n 20 "$work/log" >&2
    exit 1
fi

rm -f "$root"/etc/{apt/sources.list,hostname,resolv.conf}
cat >"$root/etc/apt/sources.list.d/debian.sources" <<END
Types: deb
URIs: $mirror
Suites: $suite $suite-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $security
Suites: $suite-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

# As in the official image: installing a package starts no service, and leaves nothing in apt's cache.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'END'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Acquire::Languages "none";
END

# Behind a proxy that inspects TLS, builds need the authorities that the machine trusts beyond the usual ones.
if [[ -d /usr/local/share/ca-certificates ]]; then
    cp -R /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates >"$work/log" 2>&1
fi

tar -C "$root" -c --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' . |
    timeout 300 docker import --change 'CMD ["bash"]' - "$image" >/dev/null
