#!/usr/bin/env bash
# Starts Glewlwyd on 127.0.0.1, in the foreground. It needs a Debian that has the package glewlwyd: where it is missing, root
# installs it with apt-get (no recommended packages), with python3 and openssl where those are missing too.
#
#   MODE=default|weak PORT=4300 CLIENT_KEY_FILE=client-key.pem ./start.sh
#
#   MODE             default: PKCE for everybody, refresh tokens that work once, replay detection; weak: none of these, and
#                    the implicit and the password grant
#   PORT             0, or left out: a free one
#   CLIENT_KEY_FILE  where to write the private key of the client pkjwt (PKCS#8 PEM); left out: client-key.pem beside this file
#   SERVER_LOG       where the server's own log goes, which has the cause of most refusals; left out: nowhere
#
# Prints one line, `ready http://127.0.0.1:PORT`, when it listens, and ends with the signal that it is sent. The database and
# the configuration are made afresh at each start, in a temporary folder that goes away with the server.
set -euo pipefail

mode=${MODE:-default} port=${PORT:-0}
case $mode in
  default | weak) ;;
  *) echo "MODE=$mode: it is default or weak" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
key=${CLIENT_KEY_FILE:-$here/client-key.pem}
schema=/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3

missing=()
[ -x /usr/bin/glewlwyd ] && [ -f "$schema" ] || missing+=(glewlwyd)
command -v python3 >/dev/null && python3 -c 'import sqlite3' 2>/dev/null || missing+=(python3)
command -v openssl >/dev/null || missing+=(openssl)
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "missing: ${missing[*]}; they are installed with apt-get, which this machine lacks" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "missing: ${missing[*]}; run as root: apt-get install --no-install-recommends ${missing[*]}" >&2; exit 1; }
  # One start.sh at a time, by a lock on a folder; dpkg waits for another dpkg by itself, and asks nothing.
  exec 9</var/lib/dpkg
  flock -w 600 9
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get -q update || { sleep 10 && apt-get -q update; }
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}"
  } >&2 9<&- || { echo "${missing[*]} could not be installed with apt-get" >&2; exit 1; }
  exec 9<&-
  # The package brings a service, which would run on port 4593.
  [ -d /run/systemd/system ] && systemctl disable --now glewlwyd >&2 || true
fi
version=$(dpkg-query -W -f '${Version}' glewlwyd)
case $version in
  2.7.5-*) ;;
  *) echo "the package is glewlwyd $version; what stands in *.expected.yaml was seen on 2.7.5" >&2 ;;
esac

state=$(mktemp -d)
cleanup() {
  trap - EXIT
  for job in $(jobs -p); do
    kill "$job" 2>/dev/null && wait "$job" 2>/dev/null || true
  done
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A free port is free until somebody else takes it: then another one.
for attempt in 1 2 3 4 5; do
  [ "$port" = 0 ] && listen=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])') || listen=$port
  base=http://127.0.0.1:$listen
  rm -f "$state/db"
  python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(open(sys.argv[2]).read())' "$state/db" "$schema"
  cat >"$state/conf" <<CONF
port = $listen
bind_address = "127.0.0.1"
external_url = "$base"
login_url = "login.html"
api_prefix = "api"
static_files_path = "/usr/share/glewlwyd/webapp/"
static_files_mime_types = (
  { extension = ".html", mime_type = "text/html" }, { extension = ".css", mime_type = "text/css" },
  { extension = ".js", mime_type = "application/javascript" }, { extension = ".json", mime_type = "application/json" }
)
log_mode = "file"
log_level = "DEBUG"
log_file = "${SERVER_LOG:-/dev/null}"
cookie_secure = false
add_x_frame_option_header_deny = true
session_key = "GLEWLWYD2_SESSION_ID"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "/usr/lib/glewlwyd/user"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
hash_algorithm = "SHA512"
database = { type = "sqlite3", path = "$state/db" }
CONF
  glewlwyd --config-file="$state/conf" >&2 &
  server=$!
  # setup.py waits for the server, and says so where it ended. In the background, so that a signal need not wait for it.
  status=0
  python3 "$here/setup.py" "$base" "$mode" "$state" "$key" "$server" >&2 &
  wait $! || status=$?
  [ $status = 0 ] && break
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  [ $status = 75 ] && [ "$port" = 0 ] && [ "$attempt" -lt 5 ] || { echo "glewlwyd did not start on $base" >&2; exit 1; }
done

echo "ready $base"
wait "$server"
