#!/usr/bin/env bash
# Starts Keycloak on 127.0.0.1, in the foreground. It needs Java 17 or later and openssl; at the first start, which takes
# a minute or more, Maven and a network as well. As root on Debian it installs what of these is missing.
#
#   MODE=default|strict|fapi2 PORT=4500 CLIENT_KEY_FILE=client-key.pem ./start.sh
#
#   MODE             the realm, see realm.sh; the issuer is http://127.0.0.1:PORT/realms/MODE
#   PORT             0, or left out: a free one
#   CLIENT_KEY_FILE  where to write the private key of the clients pkjwt and pkjwt2 (PKCS#8 PEM); left out: client-key.pem beside this file
#
# Prints one line, `ready http://127.0.0.1:PORT`, when it listens, and ends with the signal that it is sent. The server's log, with
# the cause of each refusal (lines `type="…_ERROR"`), goes to standard error.
set -euo pipefail
version=26.7.3
mode=${MODE:-default}
case $mode in
  default | strict | fapi2) ;;
  *) echo "keycloak: MODE=$mode: it is default, strict or fapi2" >&2; exit 2 ;;
esac
case "${CLIENT_KEY_FILE:-}" in
  "" | /*) ;;
  *) CLIENT_KEY_FILE=$PWD/$CLIENT_KEY_FILE ;;
esac
cd "$(dirname "$0")"
here=$PWD installed=$PWD/.installed
key=${CLIENT_KEY_FILE:-$here/client-key.pem}

fail() { echo "keycloak: $*" >&2; exit 1; }
java_is_new() { [ "$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" -ge 17 ] 2>/dev/null; }
debian() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || fail "$1 is missing; install it, or be root on Debian"
  apt-get update -qq >&2 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >&2 || fail "$1 could not be installed"
}

unset "${!KC_@}" JAVA_OPTS JAVA_OPTS_APPEND JAVA_OPTS_KC_HEAP
command -v flock >/dev/null || debian flock util-linux

# Installed once, by one of several that start together.
exec 8>.installing.lock
flock 8
java_is_new || debian "Java 17 or later" default-jre-headless
java_is_new || fail "Java 17 or later is needed, and this is $(java -version 2>&1 | head -1)"
command -v openssl >/dev/null || debian openssl openssl
kc() { JAVA_OPTS="-Xmx512m -XX:TieredStopAtLevel=1" sh "$installed/keycloak/bin/kc.sh" "$@" >&2 8>&-; }
if [ "$(cat "$installed/version" 2>/dev/null)" != "$version" ]; then
  command -v mvn >/dev/null || debian Maven maven
  echo "keycloak: installing $version, once; this takes a minute or more" >&2
  rm -rf "$installed"
  mkdir -p "$installed/m2"
  # In a folder of its own, as this goal makes one beside itself.
  (cd "$installed/m2" && mvn -q -B -Dmaven.repo.local="$PWD" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" -DoutputDirectory="$installed" >&2 8>&-) ||
    fail "Maven could not fetch $version (no network?)"
  mv "$installed/keycloak-$version" "$installed/keycloak"
  rm -rf "$installed/m2"
  kc build --db=dev-file || fail "its build failed"
  echo "$version" >"$installed/version"
fi
# Making the tables and the realms takes longer than all else at a start, so each start begins with a copy of them.
if ! cmp -s realm.sh "$installed/data/realm.sh"; then
  rm -rf "$installed/data" "$installed/keycloak/data" "$installed/realms"
  mkdir "$installed/realms"
  for each in default strict fapi2; do bash realm.sh "$each" >"$installed/realms/$each-realm.json"; done
  kc import --optimized --dir "$installed/realms" || fail "the realms could not be imported"
  mv "$installed/keycloak/data" "$installed/data"
  cp realm.sh "$installed/data/realm.sh"
fi

# A home for this start, with what changes in it. Who lives there holds its lock; what a kill left behind is removed here.
for old in "$installed"/home.*; do
  if [ -d "$old" ] && flock -n "$old/lock" true; then rm -rf "$old"; fi
done
home=$(mktemp -d "$installed/home.XXXXXX")
exec 9>"$home/lock"
flock 9
exec 8>&-
trap 'rm -rf "$home"' EXIT
trap 'exit 143' TERM INT

(umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$key" 2>/dev/null) || fail "the key could not be written to $key"
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
point() { openssl pkey -in "$key" -pubout -outform DER | tail -c 64; } # the public key ends with its x and y
x=$(point | head -c 32 | base64url) y=$(point | tail -c 32 | base64url)

ln -s ../keycloak/{bin,conf,lib,providers,themes,version.txt} "$home"
mkdir -p "$home/data" "$home/tmp"
cp -r "$installed/data/h2" "$home/data"
java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$installed"/keycloak/lib/lib/main/com.h2database.h2-*.jar org.h2.tools.Shell \
  -url "jdbc:h2:file:$home/data/h2/keycloakdb;NON_KEYWORDS=VALUE" -user "" -password "" -sql "UPDATE CLIENT_ATTRIBUTES SET VALUE =
  '{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"$x\",\"y\":\"$y\",\"kid\":\"c1\",\"alg\":\"ES256\",\"use\":\"sig\"}]}' WHERE NAME = 'jwks.string'" >&2 ||
  fail "the key could not be registered"

# Reads the server's log, says when it is ready, and cleans up after it has ended, in whatever way.
watch() {
  trap '' TERM INT HUP PIPE
  while IFS= read -r line; do
    printf '%s\n' "$line" >&2 || true
    case $line in
      *"Listening on: http://127.0.0.1:"*)
        port=${line##*"Listening on: http://127.0.0.1:"}
        port=${port%%[!0-9]*}
        exec 5<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET /realms/%s/.well-known/openid-configuration HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$mode" "$port" >&5
        IFS= read -r answer <&5
        exec 5>&-
        case $answer in
          *" 200 "*) echo "ready http://127.0.0.1:$port" >&4 ;;
          *) echo "keycloak: there is no realm $mode: $answer" >&2; kill $$ ;;
        esac
        exec 4>&-
        ;;
    esac
  done
  rm -rf "$home"
}
exec 4>&1 > >(exec 9>&-; set +e; watch) 2>&1
trap - EXIT TERM INT

# What bin/kc.sh would run, as this very process, so that a signal to it is one to the server. Nothing but http on loopback:
# no cluster, no management port. The issuer comes of the Host header, so that port 0 will do.
exec java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote \
  -XX:+ExitOnOutOfMemoryError -XX:-UsePerfData \
  --add-opens=java.base/java.util=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED \
  --add-opens=java.base/java.security=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED --enable-native-access=ALL-UNNAMED \
  -Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory \
  -Djava.util.logging.manager=org.jboss.logmanager.LogManager -Dpicocli.disable.closures=true \
  -Dfile.encoding=UTF-8 -Duser.language=en -Duser.country=US \
  -Djava.io.tmpdir="$home/tmp" -Dkc.home.dir="$home" -Djboss.server.config.dir="$home/conf" \
  -cp "$home/lib/quarkus-run.jar" io.quarkus.bootstrap.runner.QuarkusEntryPoint \
  start --optimized --http-enabled=true --http-host=127.0.0.1 --http-port="${PORT:-0}" \
  --hostname-strict=false --cache=local --shutdown-delay=0s 4>&-
