# Everything a developer runs. `make help` lists it.

TCLSH   ?= tclsh
CARGO   ?= cargo
DESTDIR ?=
prefix  ?= /usr/local
libdir  ?= $(prefix)/lib
mandir  ?= $(prefix)/share/man
docdir  ?= $(prefix)/share/doc/nats-tcl
# Empty: where tclsh looks, see scripts/package-dir.
pkgdir  ?=
places   = DESTDIR='$(DESTDIR)' prefix='$(prefix)' libdir='$(libdir)' mandir='$(mandir)' docdir='$(docdir)' \
           pkgdir='$(pkgdir)' TCLSH='$(TCLSH)'

library := target/release/libnats.so
# Where the package and the scripts look, whatever cargo's own configuration says.
release := build --release --locked --target-dir target

.PHONY: help build demo test test-tcl9 test-matrix test-interop test-rust bench bench-peers check doc man install uninstall dist deb check-dist licences advisories clean

help: ## Show this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables: TCLSH=tclsh9.0   the Tcl shell for demo, test and bench (scripts/tcl9 prints a 9.0 one)"
	@echo "           FILE='kv*.test'  test: only these files      MATCH='kv-get-*'  SKIP='...'  test: only, or not, these cases"
	@echo "           NATS_SERVER=...  the nats-server to use (else PATH, else fetched under target/)"
	@echo "           SERVERS='2.10.26 distribution'  test-matrix: only these versions; distribution is Debian's"
	@echo "           TCLS='8.6 9.0'   test-matrix: only these; 8.6 is TCLSH. scripts/matrix-table writes the table of README.md"
	@echo "           NATS_TCL=/path   bench-peers: a folder with nats-tcl, which is not fetched"
	@echo "           PEERS='nats-py async-nats'  test-interop: only these; PYTHON=python3  for nats-py"
	@echo "           CARGO=cargo      the cargo to build with"
	@echo "           DESTDIR= prefix=$(prefix) libdir=$(libdir) mandir=$(mandir)"
	@echo "           docdir=$(docdir) pkgdir= (where TCLSH looks)   install, uninstall"

build: ## Build the loadable library, target/release/libnats.so
	@CARGO='$(CARGO)' scripts/check-rust
	$(CARGO) $(release)

demo: build ## Watch a bucket being filled, mirrored and broken on a nats-server of its own
	@server="$$(scripts/nats-server)" && LC_ALL=C.UTF-8 NATS_SERVER="$$server" $(TCLSH) examples/demo.tcl

test: build ## Run the Tcl test suite (TCLSH, FILE, MATCH, SKIP)
	@scripts/deps --quiet --test || echo "without these packages some tests are skipped" >&2
	@FILE='$(FILE)' MATCH='$(MATCH)' SKIP='$(SKIP)' $(TCLSH) tests/all.tcl

test-tcl9: build ## Run the Tcl test suite under Tcl 9.0, fetched if need be
	@tclsh="$$(scripts/tcl9)" && FILE='$(FILE)' MATCH='$(MATCH)' SKIP='$(SKIP)' "$$tclsh" tests/all.tcl

test-matrix: build ## Run the tests of JetStream against old and new nats-servers, under Tcl 8.6 and 9.0 (SERVERS, TCLS, FILE …)
	@FILE='$(FILE)' MATCH='$(MATCH)' SKIP='$(SKIP)' SERVERS='$(SERVERS)' TCLS='$(TCLS)' TCLSH='$(TCLSH)' scripts/test-matrix

test-interop: build ## Run the tests with other clients, nats-py and async-nats, and those of an upgrade from 2.10 (PEERS, FILE …)
	@FILE='$(FILE)' MATCH='$(MATCH)' SKIP='$(SKIP)' PEERS='$(PEERS)' TCLSH='$(TCLSH)' CARGO='$(CARGO)' scripts/test-interop

test-rust: ## Run the Rust unit tests (MATCH is part of a name), with a nats-server and the headers of Tcl 9
	@scripts/deps --quiet || echo "without these packages the tests may not be built" >&2
	server="$$(scripts/nats-server)" && headers="$${TCL9_INCLUDE:-$$(scripts/tcl9 --headers)}" && \
	    NATS_SERVER="$$server" TCL9_INCLUDE="$$headers" $(CARGO) test --locked --lib $(MATCH)

bench: build ## Compare with a bare async-nats loop on the same server
	@server="$$(scripts/nats-server)" && export LC_ALL=C.UTF-8 NATS_SERVER="$$server" CARGO='$(CARGO)' && \
	    $(TCLSH) benches/run.tcl && $(TCLSH) benches/jetstream.tcl && $(TCLSH) benches/growth.tcl && $(TCLSH) benches/services.tcl && $(TCLSH) benches/object_store.tcl

bench-peers: build ## Compare with nats-py, bare async-nats and, if NATS_TCL is its folder, nats-tcl; writes the table of README.md
	@server="$$(scripts/nats-server)" && export LC_ALL=C.UTF-8 NATS_SERVER="$$server" CARGO='$(CARGO)' NATS_TCL='$(NATS_TCL)' && \
	    $(TCLSH) benches/peers.tcl -write README.md

check: build ## Format, lints, links and exports of the library, version numbers
	@scripts/deps --quiet || echo "without these packages the lints may not run" >&2
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	scripts/check-library $(library)
	scripts/check-version

doc: man ## Documentation from doc/*.md: man pages, and a web site in target/site; looks whether all links lead somewhere
	@$(TCLSH) scripts/documentation links
	@$(TCLSH) scripts/documentation site

man: ## Only the man pages, target/man/nats.n and so on
	@$(TCLSH) scripts/documentation man

install: ## Install what make build has built, with licence, man pages and documentation; needs no cargo
	@$(places) scripts/install

uninstall: ## Remove what install put there, with the same variables
	@$(places) scripts/install --remove

dist: ## Release in target/dist, for glibc 2.17: archive, checksum, licences and list of what is inside
	@CARGO='$(CARGO)' scripts/dist

deb: ## Package for Debian 12 and 13 in target/deb, of what make dist has made
	@scripts/deb

check-dist: ## Try both on new Debians 12 and 13 without Rust (root, debootstrap)
	@scripts/check-dist

licences: ## Whether the licences and sources of all that is inside are as deny.toml allows
	@PATH="$$(CARGO='$(CARGO)' scripts/dist-tools licences):$$PATH" && $(CARGO) deny --exclude bare check licenses bans sources

advisories: ## Whether RustSec knows of defects in it; fetches its list
	@PATH="$$(CARGO='$(CARGO)' scripts/dist-tools licences):$$PATH" && $(CARGO) deny --exclude bare check advisories

clean: ## Remove everything built or fetched
	rm -rf target
