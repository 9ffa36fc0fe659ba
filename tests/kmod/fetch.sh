#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fetch.sh FOLDER: fetches files of Debian that the module's tests need but must not install.
#
# Kernels, one for each series of headers that is installed: a kernel package brings an entry of the boot menu with
# it, which a test run must not change. So the packages are unpacked into FOLDER/kernels instead, which also
# works in a container. A kernel that is installed already is used in its place.
# checkpatch.pl, which only the kernel's sources have: FOLDER/checkpatch.
set -eu
# Not Debian: the tests will name the missing capabilities.
command -v apt-get >/dev/null || exit 0
apt_get=$(realpath "$(dirname "$0")/../apt-get.sh")
folder=$1
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
scratch=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

download() {
	"$apt_get" download "$1" || { "$apt_get" update && "$apt_get" download "$1"; }
}

for series in 6.1 6.12; do
	headers=$(printf '%s\n' /usr/src/linux-headers-"$series".*-amd64 | sort -V | tail -n 1)
	release=${headers#/usr/src/linux-headers-}
	if [ -f "/boot/vmlinuz-$release" ] || [ -d "$folder/kernels/$release" ]; then
		continue
	fi
	download "linux-image-$release"
	dpkg-deb -x linux-image-*.deb root
	rm linux-image-*.deb
	depmod -b root "$release"
	mkdir -p "$folder/kernels"
	mv root "$folder/kernels/$release"
done

if [ ! -f "$folder/checkpatch/checkpatch.pl" ]; then
	download linux-source-6.1
	mkdir source
	dpkg-deb --fsys-tarfile linux-source-6.1_*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz |
		tar -xJ -C source --strip-components=2 --wildcards \
			'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
	mv source "$folder/checkpatch"
fi
