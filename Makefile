# SPDX-License-Identifier: Apache-2.0
# The entry points of README.md. Each target installs what is missing and does nothing a second time.

PYTHON ?= python3
CONFIG ?= configs/4q.toml
LINK   ?= /usr/local/bin/ttfwd
VENV   := .venv

# Debian packages; docs/dependencies.md says what each is for.
BUILD_PACKAGES := gcc libc6-dev libseccomp-dev liburing-dev
RUN_PACKAGES   := iproute2 iputils-ping
# For `ttfwd bench`; the forwarder is built without them, too.
TESTER_PACKAGES := clang libbpf-dev
CHECK_PACKAGES := clang-format-14 git libpcap0.8
PROMETHEUS     := prometheus
TEST_PACKAGES  := $(CHECK_PACKAGES) chromium cppcheck curl ethtool iperf3 $(PROMETHEUS) systemd tcpdump tshark
# The forwarders that ttfwd is compared with. testpmd is in dpdk-dev.
OVS            := openvswitch-switch
PEERS_PACKAGES := dpdk-dev $(OVS) ethtool iperf3
# For the kernel module: headers for its build, tools to check it, and tools to boot it.
KMOD_PACKAGES  := linux-headers-amd64 linux-headers-6.12-amd64 pahole sparse dkms kmod xz-utils perl \
	qemu-system-x86 busybox-static
# To make Debian packages and a wheel, and to try them in a fresh Debian.
PACKAGE_PACKAGES := debhelper dh-dkms dh-virtualenv dpkg-dev go-md2man lintian mmdebstrap python3-dev python3-venv
# For the tests of the lab: they make the disk of a machine, with a signed repository, and log in to it.
LAB_PACKAGES := dpkg-dev gnupg mmdebstrap openssh-client
# To build the debug kernel.
DEBUG_PACKAGES := linux-source-6.12 bc bison flex libelf-dev

# The folder itself changes when a file is deleted.
NATIVE := native native/tester $(wildcard native/*.c native/*.h native/*.py native/tester/*.[ch] kmod/uapi/*.h)
TTFWD  := $(CURDIR)/$(VENV)/bin/ttfwd

# Python packages that a build of ttfwd needs, one per line.
BUILD_REQUIRES := import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

# Succeeds with a Python that can make a virtual environment and compile an extension module.
SUITABLE := import sys, venv, ensurepip, sysconfig, os.path as p; \
	sys.exit(sys.version_info < (3, 11) or not p.exists(p.join(sysconfig.get_path("include"), "Python.h")))

# $(call install,PACKAGES): install those that dpkg doesn't know as installed, and a Python if none here is suitable.
define install
@command -v dpkg-query >/dev/null || { echo 'not Debian: taken to be there: $(1)' >&2; exit 0; }; \
missing=; \
for package in $(1); do \
	dpkg-query -W -f='$${db:Status-Abbrev}' $$package 2>/dev/null | grep -q '^.i' || missing="$$missing $$package"; \
done; \
$(PYTHON) -c '$(SUITABLE)' 2>/dev/null || /usr/bin/python3 -c '$(SUITABLE)' 2>/dev/null \
	|| missing="$$missing python3 python3-venv python3-dev"; \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" != 0 ]; then echo "apt-get install --no-install-recommends$$missing" >&2; exit 77; fi; \
sh tests/apt-get.sh update && sh tests/apt-get.sh install -y --no-install-recommends $$missing
endef

# $(call hold,SERVICE) and $(call release,SERVICE), around an installation: it neither starts the service, whose package
# has its name, nor enables it for the next boot. A service that is installed isn't changed.
define hold
@if [ "$$(id -u)" = 0 ] && [ -d /run/systemd/system ] && \
	! dpkg-query -W -f='$${db:Status-Abbrev}' $(1) 2>/dev/null | grep -q '^.i'; then \
	systemctl mask --runtime --quiet $(1); \
fi
endef
define release
@if [ -L /run/systemd/system/$(1).service ]; then \
	systemctl unmask --runtime --quiet $(1) && systemctl disable --quiet $(1); \
fi
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help start check test soak build tester lint bench bench-peers bench-kmod test-turbotap test-kmod-debug packages test-packages lab test-lab clean link
.PHONY: packages-build packages-tester packages-run packages-check packages-test packages-peers packages-debug packages-packages packages-lab fetched

help: ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 17

start: packages-run build ## install what is missing, build, and run CONFIG (configs/4q.toml) in the foreground
	@exec $(VENV)/bin/ttfwd start -c $(CONFIG)

check: packages-check $(VENV)/.built $(VENV)/.with-test $(VENV)/.with-lint ## build, then everything that takes seconds: unit tests, style, types, imports
	@exec $(VENV)/bin/python -m tests.check

test: packages-test fetched $(VENV)/.tox ## install what is missing and run every test
	@exec $(VENV)/bin/tox run-parallel --parallel 2 --parallel-no-spinner

test-kmod-debug: packages-debug $(VENV)/.built $(VENV)/.with-test ## run the kernel module on a kernel with KASAN, lockdep, ...; builds it
	@exec $(VENV)/bin/python -m tests.kmod.debug $(ARGS)

test-turbotap: packages-test fetched $(VENV)/.built $(VENV)/.with-test ## run every test of ttfwd over turbotap, in a guest
	@exec $(VENV)/bin/python -m tests.kmod.turbotap

soak: packages-run $(VENV)/.built $(VENV)/.with-test ## kill 1,000 workers under load, then look for growth for 10 minutes; ARGS is passed on
	@exec $(VENV)/bin/python -m tests.soak $(ARGS)

build: $(VENV)/.built link ## install into .venv and build the extension module

tester: packages-tester packages-run $(VENV)/.with-tester $(VENV)/.with-bench link ## install what `ttfwd bench` needs, and build with it

lint: packages-test $(VENV)/.tox ## style, types, static checks and C warnings
	@exec $(VENV)/bin/tox run -e lint,cwarn

bench: packages-test build ## run the benchmarks; ARGS is passed on
	@exec $(VENV)/bin/python -m tests.bench $(ARGS)

bench-peers: packages-peers $(VENV)/.with-tester $(VENV)/.with-peers ## measure ttfwd beside testpmd, Open vSwitch and a bridge; ARGS is passed on
	@exec $(VENV)/bin/python -m tests.bench.peers $(ARGS)

bench-kmod: packages-test fetched $(VENV)/.built $(VENV)/.with-test ## measure the kernel module, in guests; ARGS is passed on
	@exec $(VENV)/bin/python -m tests.bench.kmod $(ARGS)

packages: packages-packages $(VENV)/.with-tester $(VENV)/.with-packages ## make Debian packages and a wheel, in dist/
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" sh deploy/packages.sh $(VENV)/bin/python dist

test-packages: packages $(VENV)/.with-test ## install, start, upgrade and purge the packages in a fresh Debian
	@TTFWD_PACKAGES="$(CURDIR)/dist" $(VENV)/bin/python -m pytest -p no:cacheprovider tests/packages $(ARGS)

lab: packages-test $(VENV)/.with-tester $(VENV)/.with-test $(VENV)/.with-bench ## show the Ansible collection: three hosts on this machine, a matrix, a report; as root
	@exec $(VENV)/bin/python -m tests.lab $(ARGS)

test-lab: packages packages-lab packages-test $(VENV)/.with-test $(VENV)/.with-lab $(VENV)/.with-bench ## run every test of the Ansible collection, on hosts that it boots; as root
	@TTFWD_LAB=1 TTFWD_PACKAGES="$(CURDIR)/dist" $(VENV)/bin/python -m pytest -p no:cacheprovider tests/lab $(ARGS)

clean: ## remove everything that the other targets made here
	rm -rf $(VENV) .tox build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f forwarder/_native*.so forwarder/_tester*.so
	find forwarder native tests -name __pycache__ -prune -exec rm -rf {} +
	@if [ "$$(readlink $(LINK))" = '$(TTFWD)' ]; then rm -f $(LINK); fi

packages-build:
	$(call install,$(BUILD_PACKAGES))

packages-tester:
	$(call install,$(BUILD_PACKAGES) $(TESTER_PACKAGES))

packages-run:
	$(call install,$(BUILD_PACKAGES) $(RUN_PACKAGES))

packages-check:
	$(call install,$(BUILD_PACKAGES) $(CHECK_PACKAGES))

packages-test: export RUNLEVEL := 1
packages-test:
	$(call hold,$(PROMETHEUS))
	$(call install,$(BUILD_PACKAGES) $(TESTER_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES) $(KMOD_PACKAGES))
	$(call release,$(PROMETHEUS))

# Open vSwitch is run privately.
packages-peers: export RUNLEVEL := 1
packages-peers:
	$(call hold,$(OVS))
	$(call install,$(BUILD_PACKAGES) $(TESTER_PACKAGES) $(RUN_PACKAGES) $(PEERS_PACKAGES))
	$(call release,$(OVS))

packages-packages:
	$(call install,$(BUILD_PACKAGES) $(TESTER_PACKAGES) $(PACKAGE_PACKAGES))

packages-lab:
	$(call install,$(LAB_PACKAGES))

packages-debug:
	$(call install,$(BUILD_PACKAGES) $(KMOD_PACKAGES) $(DEBUG_PACKAGES))

# Kernels to boot, and checkpatch: below build/, since the machine would boot an installed kernel next.
fetched: | packages-test
	@sh tests/kmod/fetch.sh build

$(VENV)/.made: | packages-build
	@for python in $(PYTHON) /usr/bin/python3; do \
		$$python -c '$(SUITABLE)' 2>/dev/null || continue; \
		$$python -m venv --clear $(VENV); exit; \
	done; \
	echo 'no Python >= 3.11 with venv and Python.h: set PYTHON=' >&2; exit 1
	@touch $@

# Without isolation, the build tools are in .venv and aren't fetched for each build.
$(VENV)/.installed: $(VENV)/.made pyproject.toml setup.py
	@$(VENV)/bin/python -c '$(BUILD_REQUIRES)' | xargs -d '\n' $(VENV)/bin/pip install -q
	$(VENV)/bin/pip install -q --no-build-isolation -e .
	@touch $@

# An extension module is replaced, never overwritten: a running forwarder keeps its mapped one.
$(VENV)/.built: $(VENV)/.installed $(NATIVE)
	$(VENV)/bin/python setup.py -q build_ext --inplace
	@touch $@

$(VENV)/.with-tester: $(VENV)/.built
	TTFWD_TESTER=require $(VENV)/bin/python setup.py -q build_ext --inplace
	@touch $@

# One of the extras of pyproject.toml: test, lint, lab, bench, peers.
$(VENV)/.with-%: $(VENV)/.installed
	$(VENV)/bin/pip install -q --no-build-isolation -e '.[$*]'
	@touch $@

$(VENV)/.tox: $(VENV)/.made
	$(VENV)/bin/pip install -q 'tox>=4.43'
	@touch $@

# Put ttfwd on the PATH: only as root, and only in place of our own link.
link: $(VENV)/.built
	@there=$$(readlink $(LINK) || true); \
	if [ "$$there" = '$(TTFWD)' ]; then exit 0; fi; \
	if [ -w "$(dir $(LINK))" ] && [ ! -e $(LINK) ]; then \
		case "$$there" in ''|*/.venv/bin/ttfwd) exec ln -sfn '$(TTFWD)' $(LINK) ;; esac; \
	fi; \
	echo 'ttfwd is $(TTFWD)'
