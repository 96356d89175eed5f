#!/usr/bin/env bash
# Starts Ory Hydra with a login application of our own, in the foreground. The first start builds Hydra: some minutes, and
# 800 MB of disk while it lasts. It needs Linux, Node.js 18 or later, Go 1.22.5 or later and a C compiler (apt-get is asked for what
# is missing, if this is root), and a network for the first start alone.
#
#   MODE=default|strict|jwt PORT=4200 CLIENT_KEY_FILE=client-key.pem ./start.sh
#
#   MODE             default: Hydra as it comes; strict: what its configuration can demand; jwt: access tokens are JWTs
#   PORT             0, or left out: a free one. Hydra listens there on 127.0.0.1, the login application on 127.0.0.2, and
#                    Hydra's administration on 127.0.0.3: a login on another host, and cookies that are not shared
#   CLIENT_KEY_FILE  where to write the private key of the client pkjwt (PKCS#8 PEM); left out: client-key.pem beside this file
#
# Prints one line, `ready http://127.0.0.1:PORT`, when it listens, and ends with the signal that it is sent.
set -euo pipefail

case "${CLIENT_KEY_FILE:-}" in
  "" | /*) ;;
  *) export CLIENT_KEY_FILE="$PWD/$CLIENT_KEY_FILE" ;;
esac
cd "$(dirname "$0")"

fail() {
  echo "$1" >&2
  exit 1
}

need() { # need COMMAND PACKAGE...: asks apt-get for the packages where there is no such command
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${@:2}"; } >&2 || true
  fi
  command -v "$1" >/dev/null || fail "there is no \`$1\` on this machine, and it could not be installed (Debian packages: ${*:2})"
}

build() {
  need go golang-go ca-certificates
  need cc gcc libc6-dev
  local version
  version=$(go env GOVERSION)
  version=${version#go}
  printf '1.22.5\n%s\n' "${version%%[!0-9.]*}" | sort -CV ||
    fail "the Go on this machine is version $version, and Ory Hydra 2.3.0 needs 1.22.5 or later (older Debian releases package an older one: install Go from another place)"
  # What was downloaded and compiled stays in this folder, and is of no use once the program is there.
  export GOMODCACHE="$PWD/.cache/go/mod" GOCACHE="$PWD/.cache/go/build" GOFLAGS="-mod=readonly -modcacherw" GOWORK=off CGO_ENABLED=1
  nice -n 10 go build -tags sqlite -buildvcs=false -trimpath -ldflags="-s -w" -o .cache/hydra.new . >&2 ||
    fail "Ory Hydra could not be built (is there a network, and does go reach its module proxy?)"
  mv .cache/hydra.new .cache/hydra
  cat go.mod main.go >.cache/built-from
  rm -rf .cache/go
}

need node nodejs
mkdir -p .cache
# Built once, by one of several that start together: the lock is gone with whoever holds it.
if ! cmp -s <(cat go.mod main.go) .cache/built-from; then
  need flock util-linux
  exec 9>.cache/lock
  flock 9
  cmp -s <(cat go.mod main.go) .cache/built-from || build
  exec 9>&-
fi

exec node server.mjs
