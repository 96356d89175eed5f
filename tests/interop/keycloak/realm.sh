#!/usr/bin/env bash
# Prints the realm of a mode, as Keycloak imports it. Called by start.sh, which then makes a database of all of them.   realm.sh MODE
#   default  what a new realm and new clients are given when nobody changes a setting: PKCE, rotation and consent are off. But for what
#            is off by default and is tested: the device flow, token exchange (of the client conf), and registration from this machine
#   strict   PKCE S256 for every client, a refresh token works once, consent is asked
#   fapi2    the server's own FAPI 2.0 + DPoP profile for every client: PAR, private_key_jwt, PKCE, DPoP, consent
set -euo pipefail
mode=$1

# What every client has. Nothing listens at the redirect URI; the FAPI profile takes no http address, loopback or not.
redirect=http://127.0.0.1:9123/cb
attributes='' settings='' realm=''
case $mode in
  default)
    realm='"components": {"org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy": [
      {"name": "Trusted Hosts", "providerId": "trusted-hosts", "subType": "anonymous", "config": {"trusted-hosts": ["127.0.0.1"],
        "host-sending-registration-request-must-match": ["true"], "client-uris-must-match": ["false"]}},
      {"name": "Consent Required", "providerId": "consent-required", "subType": "anonymous", "config": {}},
      {"name": "Full Scope Disabled", "providerId": "scope", "subType": "anonymous", "config": {}},
      {"name": "Max Clients Limit", "providerId": "max-clients", "subType": "anonymous", "config": {"max-clients": ["2000"]}}]},'
    ;;
  strict | fapi2)
    attributes='"pkce.code.challenge.method": "S256"'
    settings='"consentRequired": true, "fullScopeAllowed": false, "directAccessGrantsEnabled": false, "implicitFlowEnabled": false,'
    ;;
  *) echo "there is no mode $mode" >&2; exit 2 ;;
esac
[ "$mode" = strict ] && realm='"revokeRefreshToken": true, "refreshTokenMaxReuse": 0,'
if [ "$mode" = fapi2 ]; then
  redirect=https://127.0.0.1:9123/cb
  realm='"clientPolicies": {"policies": [{"name": "fapi2", "enabled": true, "conditions": [{"condition": "any-client", "configuration": {}}],
    "profiles": ["fapi-2-dpop-security-profile"]}]},'
fi

# client ID SETTINGS ATTRIBUTES
client() {
  echo "{\"clientId\": \"$1\", \"enabled\": true, \"redirectUris\": [\"$redirect\"], $settings $2,"
  echo " \"attributes\": {$attributes${attributes:+${3:+, }}$3}}"
}
# assertion ID: a client with private_key_jwt; start.sh writes its key into jwks.string
assertion() {
  local more='"use.jwks.string": "true", "jwks.string": "{\"keys\": []}"'
  [ "$mode" = default ] || more+=', "token.endpoint.auth.signing.alg": "ES256"'
  if [ "$mode" = fapi2 ]; then
    more+=', "dpop.bound.access.tokens": "true", "require.pushed.authorization.requests": "true"'
    more+=', "access.token.signed.response.alg": "ES256", "id.token.signed.response.alg": "ES256"'
  fi
  client "$1" '"clientAuthenticatorType": "client-jwt"' "$more"
}
# user NAME GIVEN-NAME CREDENTIALS
user() {
  echo "{\"username\": \"$1\", \"enabled\": true, \"emailVerified\": true, \"email\": \"$1@example.com\", \"firstName\": \"$2\", \"lastName\": \"Example\","
  echo " \"credentials\": [{\"type\": \"password\", \"value\": \"$1-pass\"}${3:+, }${3:-}]}"
}

# The second factor of `totp`: 6 digits, 30 s, SHA-1; the secret is base32.
totp='{"type": "otp", "secretData": "{\"value\": \"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\"}",
  "credentialData": "{\"subType\": \"totp\", \"digits\": 6, \"counter\": 0, \"period\": 30, \"algorithm\": \"HmacSHA1\", \"secretEncoding\": \"BASE32\"}"}'

cat <<EOF
{
"realm": "$mode", "enabled": true, "sslRequired": "none", $realm
"clients": [
EOF
if [ "$mode" != fapi2 ]; then
  device='"oauth2.device.authorization.grant.enabled": "true"'
  client public '"publicClient": true' "$device"; echo ,
  client other '"publicClient": true' "$device"; echo ,
  client conf '"secret": "throw-away-secret-of-the-interop-tests"' "$device, \"standard.token.exchange.enabled\": \"true\""; echo ,
fi
assertion pkjwt; echo ,
assertion pkjwt2
echo '], "users": ['
user alice Alice; echo ,
user bob Bob; echo ,
user totp Totp "$totp"; echo ,
# Half-filled: after the password the server asks for an address and names (VERIFY_PROFILE).
echo '{"username": "carol", "enabled": true, "credentials": [{"type": "password", "value": "carol-pass"}]}'
echo ']}'
