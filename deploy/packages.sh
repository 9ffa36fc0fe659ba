#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deploy/packages.sh PYTHON OUT: builds the Debian packages and the wheel of this checkout into OUT.
#
#   build/packages/ttfwd-VERSION   the unpacked source distribution, with deploy/debian as debian/
#   OUT/ttfwd_*.deb                by dpkg-buildpackage and dh-virtualenv, checked by lintian
#   OUT/ttfwd-dkms_*.deb
#   OUT/ttfwd-*.whl                with liburing and the like inside, by auditwheel
set -eu
python=$1
out=$2
work=build/packages

rm -rf "$work"
rm -f "$out"/ttfwd[_-]*
mkdir -p "$work" "$out"
"$python" -m build --sdist --no-isolation --outdir "$work" . >"$work/sdist.log" 2>&1 || { cat "$work/sdist.log"; exit 1; }
tar -C "$work" -xzf "$work"/ttfwd-*.tar.gz
tree=$(echo "$work"/ttfwd-*/)
version=$(basename "$tree" | sed 's/^ttfwd-//')

# The package has the version of pyproject.toml: so there is no changelog beside CHANGELOG.md to keep.
cp -r deploy/debian "$tree/debian"
cat >"$tree/debian/changelog" <<END
ttfwd ($version-1) bookworm; urgency=medium

  * Built from $(cat "$tree/forwarder/built_from.txt"); see CHANGELOG.md.

 -- The ttfwd developers <ttfwd@lists.example.org>  $(date -R)
END
"$python" deploy/man_pages.py "$tree/build"

(cd "$tree" && dpkg-buildpackage --build=binary --no-sign) >"$work/deb.log" 2>&1 || { tail -n 60 "$work/deb.log"; exit 1; }
# These two are about an upload to Debian itself.
lintian --fail-on error,warning --allow-root \
	--suppress-tags bad-distribution-in-changes-file,initial-upload-closes-no-bugs "$work"/*.changes

TTFWD_TESTER=require "$python" -m build --wheel --no-isolation --outdir "$work/wheel" "$tree" >"$work/wheel.log" 2>&1 ||
	{ tail -n 60 "$work/wheel.log"; exit 1; }
"$python" -m auditwheel repair --wheel-dir "$out" "$work"/wheel/*.whl

cp "$work"/*.deb "$out"
ls -l "$out"
