"""django-oauth-toolkit in a minimal Django project, configured in two ways. Started by start.sh, which says what it reads
from the environment.

  default  as the library's tutorial and its page on OpenID Connect set it up: the login page is that of Django's
           administration, the consent page the library's own, and every other switch stays where it is
  strict   every switch for RFC 9700 is on, and the reuse of a refresh token ends its family
"""
import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import django
from django.conf import settings

mode = os.environ.get("MODE") or "default"
if mode not in ("default", "strict"):
    sys.exit(f"MODE={mode}: it is default or strict")

state = tempfile.mkdtemp()
owner = os.getpid()
atexit.register(lambda: os.getpid() == owner and shutil.rmtree(state, ignore_errors=True))  # not in the forked workers
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
rsa_key = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout

oauth2_provider = {
    "OIDC_ENABLED": True,
    "OIDC_RSA_PRIVATE_KEY": rsa_key,
    "SCOPES": {"openid": "Who you are", "profile": "Your profile", "email": "Your address"},
}
if mode == "strict":
    oauth2_provider |= {
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
        "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
        "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
        "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
        "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
        "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
        # These change nothing at run time: they turn warnings of `check --deploy` into errors.
        "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
        "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
        "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
        "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
    }

settings.configure(
    SECRET_KEY=secrets.token_urlsafe(50),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="urls",
    LOGIN_URL="/admin/login/",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # What `django-admin startproject` writes down, and the library.
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "oauth2_provider",
    ],
    STATIC_URL="static/",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(state, "db.sqlite3"),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},  # who writes waits for the other one
        }
    },
    # Passwords and client secrets are hashed; the slow hash of production is no use to a test.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"log": {"class": "logging.FileHandler", "filename": os.environ.get("SERVER_LOG") or os.devnull}},
        "loggers": {
            name: {"handlers": ["log"], "level": "DEBUG" if name != "django" else "INFO", "propagate": False}
            for name in ("oauth2_provider", "oauthlib", "django")
        },
    },
    OAUTH2_PROVIDER=oauth2_provider,
)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402

call_command("migrate", verbosity=0, interactive=False)
for name in ("alice", "bob"):
    # Staff, since the login page of the administration lets nobody else in.
    get_user_model().objects.create_user(name, f"{name}@example.com", f"{name}-pass", first_name=name.title(), is_staff=True)
for client, secret in (("public", None), ("other", None), ("conf", "throw-away-secret-of-the-interop-tests")):
    Application.objects.create(
        client_id=client,
        name=client,
        client_type=Application.CLIENT_CONFIDENTIAL if secret else Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="http://127.0.0.1:9123/cb",  # nothing listens there
        algorithm=Application.RS256_ALGORITHM,
        **({"client_secret": secret} if secret else {}),
    )
django.db.connections.close_all()

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(os.environ.get("PORT") or 0)))
address = f"http://127.0.0.1:{listener.getsockname()[1]}"


class Server(BaseApplication):
    def load_config(self):
        for name, value in {
            "bind": f"fd://{listener.fileno()}",
            "workers": 2,
            "threads": 4,
            "worker_class": "gthread",
            "graceful_timeout": 0,
            "loglevel": "critical",
            "proc_name": "interop",
            "when_ready": lambda _: print(f"ready {address}", flush=True),
        }.items():
            self.cfg.set(name, value)

    def load(self):
        return get_wsgi_application()


Server().run()
