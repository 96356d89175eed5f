#!/usr/bin/env bash
# Starts django-oauth-toolkit on 127.0.0.1, in the foreground. It needs Python 3.10 or later with venv and, at the first start,
# pip and a network.
#
#   MODE=default|strict PORT=4400 ./start.sh
#
#   MODE             default: as the library's tutorial sets it up; strict: with every switch for RFC 9700 on
#   PORT             0, or left out: a free one
#   CLIENT_KEY_FILE  not used: the library knows no private_key_jwt
#   SERVER_LOG       where the server's own log goes, which has the cause of many refusals; left out: nowhere
#
# Prints one line, `ready http://127.0.0.1:PORT`, when it listens, and ends with the signal that it is sent. The database is
# made afresh at each start, in a temporary folder that goes away with the server.
set -euo pipefail

case "${SERVER_LOG:-}" in
  "" | /*) ;;
  *) export SERVER_LOG="$PWD/$SERVER_LOG" ;;
esac
cd "$(dirname "$0")"

installed() { cmp -s requirements.txt .venv/.installed; }

# Installed once, by one of several that start together. The lock goes with the process that holds it.
if ! installed; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or later is needed, as python3" >&2; exit 1; }
  exec 9>.installing
  flock -w 600 9 || { echo "another start.sh has been installing for ten minutes" >&2; exit 1; }
  if ! installed; then
    rm -rf .venv
    python3 -m venv .venv >&2 || { echo "python3 has no venv (on Debian: the package python3-venv)" >&2; exit 1; }
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt >&2 ||
      { echo "the packages of requirements.txt cannot be had with pip" >&2; exit 1; }
    cp requirements.txt .venv/.installed
  fi
  exec 9>&-
fi

export PYTHONDONTWRITEBYTECODE=1
exec .venv/bin/python server.py
