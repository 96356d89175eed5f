#!/usr/bin/env python3
"""Logs in to Glewlwyd as its login page does: the page is made by a script, and talks JSON to the server.

    login.py session BASE NAME PASSWORD     prints the Cookie header of a session that has consented for all four clients
    login.py callback URL                   takes an authorization request through login and consent, and prints where it ends;
                                            the user stands in GRANTPROOF_USER and GRANTPROOF_PASSWORD

Standard library only. `callback` is a browser of its own at each call: it is not logged in when it comes. It prints the
address that the server sends it to outside of itself (the callback), and where the server shows a page instead, it prints
nothing on standard output, says what came on standard error, and ends with 1.
"""
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

CLIENTS = ("public", "other", "conf", "pkjwt")
SCOPE = "openid profile email"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


jar = CookieJar()
browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect(), urllib.request.HTTPCookieProcessor(jar))


def ask(url, body=None, method="GET"):
    """The answer to a request, whatever its status: status, Location as a browser resolves it, text."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Accept": "text/html" if body is None else "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        answer = browser.open(urllib.request.Request(url, data, headers, method=method), timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        location = answer.headers.get("Location")
        # A fragment of the address that was asked for does not come along: Location has its own, or none.
        return answer.status, location and urllib.parse.urljoin(url, location), answer.read().decode("utf-8", "replace")


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def log_in(base, name, password):
    status, _, text = ask(f"{base}/api/auth/", {"username": name, "password": password}, "POST")
    if status != 200:
        sys.exit(f"the name or the password of `{name}` is refused: {status} {text}")


def consent(base, client, scope):
    status, _, text = ask(f"{base}/api/auth/grant/{urllib.parse.quote(client, safe='')}", {"scope": scope}, "PUT")
    if status != 200:
        sys.exit(f"the consent for `{client}` to `{scope}` is refused: {status} {text}")


def session(base, name, password):
    base = base.rstrip("/")
    log_in(base, name, password)
    for client in CLIENTS:
        consent(base, client, SCOPE)
    print("; ".join(f"{cookie.name}={cookie.value}" for cookie in jar))


def callback(url):
    name, password = os.environ["GRANTPROOF_USER"], os.environ["GRANTPROOF_PASSWORD"]
    start = url
    logged_in = False
    for _ in range(10):
        status, location, text = ask(url)
        if status not in (301, 302, 303, 307, 308) or not location:
            sys.exit(f"{status} at {url.split('?')[0]}, no redirect: {' '.join(text.split())[:200]}")
        if origin(location) != origin(start):
            print(location)
            return
        page = urllib.parse.urlsplit(location)
        if not page.path.endswith("/login.html"):
            url = location
            continue
        # What the page's script does: log in, consent to what the request asks for, go back with g_continue.
        query = dict(urllib.parse.parse_qsl(page.query, keep_blank_values=True))
        if logged_in:
            sys.exit(f"the login page comes back: {location}")
        base = f"{page.scheme}://{page.netloc}"
        log_in(base, name, password)
        if query.get("client_id") and query.get("scope"):
            consent(base, query["client_id"], query["scope"])
        logged_in = True
        back = query["callback_url"]
        url = back + ("&" if "?" in back else "?") + "g_continue"
    sys.exit("ten redirects, and no end")


commands = {"session": (session, 3), "callback": (callback, 1)}
command, arguments = commands.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
if command is None or len(sys.argv) != 2 + arguments:
    sys.exit(__doc__)
command(*sys.argv[2:])
