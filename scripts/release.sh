#!/usr/bin/env bash
# Makes all artefacts of a release in dist/release/, with SHA512SUMS, which the key of a site signs:
#
#   scripts/release.sh CONFIG
#
# CONFIG is the config.ini of a site with a signing key ("cache init" makes one). Needs Node, npm, GNU tar, gzip, and apt and
# dpkg-deb of Debian. To verify a release, with the certificate of the site (compare its fingerprint):
#
#   openssl x509 -in sign.crt -noout -pubkey > sign.pub
#   openssl dgst -sha512 -verify sign.pub -signature SHA512SUMS.sig SHA512SUMS && sha512sum --check --strict SHA512SUMS
set -euo pipefail
config=$(realpath "${1:?usage: scripts/release.sh CONFIG, the config.ini of a site with a signing key}")
cd "$(dirname "$0")/.."

if [ -n "$(git status --porcelain)" ]; then
  echo "release.sh: this clone has changes; commit or remove them: git status" >&2
  exit 2
fi

npm ci --no-audit --no-fund
npm run --silent build
npm run --silent build:executable
npm run --silent build:deb
npm run --silent build:image
npm run --silent build:sbom

release=dist/release
rm -rf "$release"
mkdir "$release"
npm pack --ignore-scripts --silent --pack-destination "$release"
mv dist/cache-linux-* dist/shacache* "$release"
(cd "$release" && sha512sum -- * > ../SHA512SUMS && mv ../SHA512SUMS .)
npx --no-install tsx scripts/sign-checksums.ts "$config" "$release/SHA512SUMS"
ls -l "$release"
