"""Configures a fresh Glewlwyd over its administration API. Called by start.sh; standard library only.

setup.py BASE MODE STATE KEY PID: the server's address, the mode, a folder for key files, where the client key goes, and the
server's process. Ends with 75 where that process is gone before it answered (the port was taken).
"""
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

base, mode, state, key_file, pid = sys.argv[1:6]
weak = mode == "weak"
cookie = ""


def call(method, path, body=None):
    global cookie
    request = urllib.request.Request(
        f"{base}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Cookie": cookie},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            cookie = (answer.headers.get("Set-Cookie") or cookie).split(";")[0]
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")


def running():
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for_server():
    for _ in range(200):
        try:
            if not running():
                sys.exit(75)
            urllib.request.urlopen(f"{base}/config/", timeout=5).close()
            return
        except FileNotFoundError:
            sys.exit(75)
        except OSError:
            time.sleep(0.05)
    sys.exit("the server does not answer")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


def read(path):
    with open(path) as file:
        return file.read()


os.umask(0o077)
openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{state}/server.pem")
openssl("pkey", "-in", f"{state}/server.pem", "-pubout", "-out", f"{state}/server.pub")
openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{state}/client.pem")
openssl("pkey", "-in", f"{state}/client.pem", "-pubout", "-out", f"{state}/client.pub")
wait_for_server()
call("POST", "auth/", {"username": "admin", "password": "password"})
call("POST", "mod/plugin/", {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": {
    "iss": f"{base}/api/oidc",
    "jwt-type": "rsa", "jwt-key-size": "256", "key": read(f"{state}/server.pem"), "cert": read(f"{state}/server.pub"), "jwks-show": True,
    "access-token-duration": 3600, "refresh-token-duration": 1209600, "code-duration": 600,
    "refresh-token-rolling": not weak, "refresh-token-one-use": "never" if weak else "always",
    "allow-non-oidc": weak,
    "auth-type-code-enabled": True, "auth-type-code-revoke-replayed": not weak,
    "auth-type-token-enabled": weak, "auth-type-id-token-enabled": True, "auth-type-none-enabled": False,
    "auth-type-password-enabled": weak, "auth-type-client-enabled": True, "auth-type-device-enabled": False, "auth-type-refresh-enabled": True,
    "pkce-allowed": True, "pkce-method-plain-allowed": weak, "pkce-required": not weak, "pkce-required-public-client": not weak,
    "introspection-revocation-allowed": True, "introspection-revocation-allow-target-client": True, "introspection-revocation-auth-scope": [],
    "register-client-allowed": False, "session-management-allowed": False, "subject-type": "public",
    "oauth-as-iss-id": not weak, "oauth-par-allowed": False, "oauth-rar-allowed": False,
    # Proofs are looked at even where DPoP is not allowed; without these two a proof is right only in the very second of its iat.
    "oauth-dpop-allowed": False, "oauth-dpop-iat-duration": 60, "oauth-dpop-iat-gap-duration": 10,
    "request-parameter-allow": True, "client-pubkey-parameter": "pubkey",
    "scope": [{"name": "openid", "refresh-token-rolling": not weak}], "allowed-scope": ["openid", "profile", "email"],
}})
for scope in ("profile", "email"):
    call("POST", "scope/", {"name": scope, "display_name": scope, "description": scope, "password_required": False, "password_max_age": 0, "scheme": {}})
for user in ("alice", "bob"):
    call("POST", "user/", {
        "username": user, "password": f"{user}-pass", "name": user.title(), "email": f"{user}@example.com", "enabled": True,
        "scope": ["openid", "profile", "email", "g_profile"],
    })
grants = ["code", "refresh_token"] + (["token", "id_token", "password"] if weak else [])
for client, method, more in (
    ("public", "none", {}),
    ("other", "none", {}),
    ("conf", "client_secret_basic", {"client_secret": "throw-away-secret-of-the-interop-tests"}),
    ("pkjwt", "private_key_jwt", {"pubkey": read(f"{state}/client.pub")}),
):
    confidential = method != "none"
    call("POST", "client/", {
        "client_id": client, "name": client, "enabled": True, "confidential": confidential, "scope": [],
        "redirect_uri": ["http://127.0.0.1:9123/cb"],  # nothing listens there
        # The endpoints for introspection and revocation are open to clients with this grant alone.
        "authorization_type": grants + (["client_credentials"] if confidential else []),
        "token_endpoint_auth_method": [method], **more,
    })
with open(key_file, "w") as file:
    file.write(read(f"{state}/client.pem"))
