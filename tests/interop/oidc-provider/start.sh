#!/usr/bin/env bash
# Starts oidc-provider on 127.0.0.1, in the foreground. It needs Node.js and, at the first start, npm and a network.
#
#   MODE=default|weak|jwt|strict|mtls|signed PORT=4200 CLIENT_KEY_FILE=client-key.pem ./start.sh
#
#   MODE             default: the library as it comes; weak: weakened; jwt: RS256 access tokens for an API;
#                    strict: FAPI 2.0 with DPoP; mtls: https and client certificates, which need openssl;
#                    signed: signed authorization requests
#   PORT             0, or left out: a free one
#   CLIENT_KEY_FILE  where to write the private key of the client pkjwt (PKCS#8 PEM); left out: client-key.pem beside this
#                    file. mtls writes certificates beside it: FILE.ca.pem, FILE.client.pem, FILE.client.key, FILE.self.…
#
# Prints one line, `ready http://127.0.0.1:PORT` (https for mtls), when it listens, and ends with the signal that it is sent.
set -euo pipefail

case "${CLIENT_KEY_FILE:-}" in
  "" | /*) ;;
  *) export CLIENT_KEY_FILE="$PWD/$CLIENT_KEY_FILE" ;;
esac
cd "$(dirname "$0")"

# Installed once, by one of several that start together: making a folder is atomic.
waited=0
until cmp -s package.json node_modules/.installed; do
  if mkdir .installing 2>/dev/null; then
    trap 'rmdir .installing' EXIT
    trap 'exit 130' INT TERM
    cmp -s package.json node_modules/.installed || npm install --no-audit --no-fund --no-package-lock --loglevel=error >&2
    cp package.json node_modules/.installed
    rmdir .installing
    trap - EXIT INT TERM
  elif [ $((waited += 1)) -gt 300 ]; then
    echo "another start.sh has been installing for five minutes; if there is none, remove the folder .installing" >&2
    exit 1
  else
    sleep 1
  fi
done

exec node server.mjs
