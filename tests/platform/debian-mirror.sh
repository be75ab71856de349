#!/usr/bin/env bash
# Prints the address of the Debian archive that this machine's own apt uses, or of its security archive with
# the argument "security". Which mirror can be reached is the machine's knowledge: no file of ours names one.
set -euo pipefail

label=Debian
if [[ ${1:-} == security ]]; then label=Debian-Security; fi

# apt knows the label of each of its sources once it has their signed Release files.
mirror() {
    # shellcheck disable=SC2016  # apt fills these in, not the shell
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
        awk -v label="$label" 'NF == 2 && $2 == label && !found++ { print $1 }'
}

found=$(mirror)
if [[ -z $found && $EUID == 0 ]]; then
    timeout 300 apt-get update -qq >&2
    found=$(mirror)
fi
if [[ -z $found ]]; then
    echo "This machine's apt knows no source labelled $label; try 'apt-get update' as root." >&2
    exit 1
fi
echo "$found"
