// Ory Hydra in three ways, with the login and consent application that it leaves to its users. Started by start.sh, which says
// what it reads from the environment.
//   default  Hydra as it comes: nothing but addresses and secrets is configured
//   strict   PKCE demanded of every client, scopes compared exactly, an error page of our own
//   jwt      as default, with JWT access tokens; the target file names the introspection endpoint of its administration
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const mode = process.env.MODE || 'default';
if (!['default', 'strict', 'jwt'].includes(mode)) throw new Error(`MODE=${mode}: it is default, strict or jwt`);

const users = { alice: 'wonderland-of-the-interop-tests', bob: 'builder-of-the-interop-tests' };

// ---- Ends with everything that it started. -------------------------------------------------------------------------

const folder = mkdtempSync(join(tmpdir(), 'grantproof-hydra-'));
let hydra;
const end = (code) => {
  hydra?.kill('SIGKILL'); // nothing of it is worth keeping
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  process.exit(code);
};
process.on('SIGTERM', () => end(143)).on('SIGINT', () => end(130)).on('SIGHUP', () => end(129));
process.on('uncaughtException', (error) => {
  console.error(error);
  end(1);
});

// ---- One port, free on three addresses of the loopback network. ----------------------------------------------------

const listening = (server, port, host) => {
  server.listen(port, host);
  return once(server, 'listening');
};

const loginServer = createServer();
async function choosePort(wanted) {
  for (let attempt = 1; ; attempt++) {
    const [issuer, admin] = [createServer(), createServer()];
    try {
      await listening(issuer, wanted, '127.0.0.1');
      const { port } = issuer.address();
      await listening(admin, port, '127.0.0.3');
      await listening(loginServer, port, '127.0.0.2');
      return port;
    } catch (error) {
      if (error.code === 'EADDRNOTAVAIL') throw new Error('this machine has no address 127.0.0.2: Linux has it, others need `ifconfig lo0 alias`');
      if (wanted || attempt === 20) throw error;
    } finally {
      issuer.close(); // Hydra takes these two
      admin.close();
    }
  }
}

const port = await choosePort(Number(process.env.PORT || 0));
const [issuer, login, admin] = [1, 2, 3].map((host) => `http://127.0.0.${host}:${port}`);

// ---- Hydra. --------------------------------------------------------------------------------------------------------

const config = {
  dsn: `sqlite://${folder}/hydra.sqlite?_fk=true&mode=rwc`,
  serve: { public: { host: '127.0.0.1', port }, admin: { host: '127.0.0.3', port } },
  urls: { self: { issuer }, login: `${login}/login`, consent: `${login}/consent` },
  secrets: { system: [randomBytes(24).toString('hex')] },
  log: { level: 'warn' },
  sqa: { opt_out: true }, // no telemetry
};
if (mode === 'strict') {
  config.oauth2 = { pkce: { enforced: true } };
  config.strategies = { scope: 'exact' };
  config.urls.error = `${login}/error`;
}
if (mode === 'jwt') {
  config.strategies = { access_token: 'jwt' };
}
writeFileSync(join(folder, 'hydra.json'), JSON.stringify(config), { mode: 0o600 });

// Its own standard output may not be used: it is for the line `ready …` alone.
const run = (output, ...args) =>
  spawn(fileURLToPath(new URL('.cache/hydra', import.meta.url)), [...args, '--config', join(folder, 'hydra.json')], { stdio: ['pipe', output, 2] });
const [migrated] = await once(run('ignore', 'migrate', 'sql', 'up', '--read-from-env', '--yes'), 'exit');
if (migrated !== 0) throw new Error('the database could not be set up');
hydra = run(2, 'serve', 'all', '--dev');
hydra.on('exit', (code) => {
  console.error(`Hydra has ended (${code})`);
  end(1);
});

/** Asks the administration of Hydra, which trusts whoever reaches it. */
async function ask(method, path, body) {
  const answer = await fetch(`${admin}/admin${path}`, { method, body: body && JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`), { status: answer.status });
  return answer.json();
}

for (let waited = 0; ; waited++) {
  const up = await Promise.all([issuer, admin].map((at) => fetch(`${at}/health/ready`).then((answer) => answer.ok, () => false)));
  if (up.every(Boolean)) break;
  if (waited === 600) throw new Error('Hydra is not ready after a minute');
  await sleep(100);
}

// ---- Its clients. --------------------------------------------------------------------------------------------------

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(process.env.CLIENT_KEY_FILE || new URL('client-key.pem', import.meta.url), key.privateKey.export({ type: 'pkcs8', format: 'pem' }), {
  mode: 0o600,
});
for (const [client_id, authentication] of Object.entries({
  public: { token_endpoint_auth_method: 'none' },
  other: { token_endpoint_auth_method: 'none' },
  conf: { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'throw-away-secret-of-the-interop-tests' },
  pkjwt: {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [{ ...key.publicKey.export({ format: 'jwk' }), kid: 'c1', alg: 'ES256', use: 'sig' }] },
  },
})) {
  await ask('POST', '/clients', {
    client_id,
    client_name: `The client ${client_id}`,
    redirect_uris: ['http://127.0.0.1:9123/cb'], // nothing listens there
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: 'openid offline_access profile email',
    ...authentication,
  });
}

// ---- The login and consent application: the same steps as Ory's own example, without dependencies. -----------------

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function page(response, status, title, body) {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  });
  response.end(`<!DOCTYPE html>\n<html lang="en"><head><title>${escaped(title)}</title></head><body>\n<h1>${escaped(title)}</h1>\n${body}</body></html>\n`);
}

function go(response, to) {
  response.writeHead(303, { location: to, 'cache-control': 'no-store' }).end();
}

/** A form is answered only where its token is the one in the cookie. */
function csrfToken(request, response) {
  const token = /(?:^|; )csrf=([0-9a-f]{32})/.exec(request.headers.cookie ?? '')?.[1] ?? randomBytes(16).toString('hex');
  response.setHeader('set-cookie', `csrf=${token}; HttpOnly; SameSite=Lax; Path=/`);
  return token;
}
function fromOurForm(request, form) {
  const cookie = /(?:^|; )csrf=([0-9a-f]{32})/.exec(request.headers.cookie ?? '')?.[1];
  const given = form.get('csrf') ?? '';
  return cookie !== undefined && given.length === cookie.length && timingSafeEqual(Buffer.from(given), Buffer.from(cookie));
}

async function formOf(request) {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) {
    body += piece;
    if (body.length > 100_000) throw Object.assign(new Error('the form is too long'), { status: 413 });
  }
  return new URLSearchParams(body);
}

const hidden = (name, value) => `<input type="hidden" name="${name}" value="${escaped(value)}">\n`;

function loginPage(request, response, challenge, { name = '', wrong = '' } = {}) {
  const csrf = csrfToken(request, response);
  page(
    response,
    200,
    'Log in',
    `<form action="/login" method="post">
${hidden('csrf', csrf)}${hidden('challenge', challenge)}${wrong && `<p role="alert">${escaped(wrong)}</p>\n`}<label>Name <input name="identifier" autocomplete="username" value="${escaped(name)}" required></label>
<label>Password <input type="password" name="password" autocomplete="current-password" required></label>
<label><input type="checkbox" name="remember" value="1"> Remember me</label>
<button name="action" value="deny" formnovalidate>Deny access</button>
<button name="action" value="login">Log in</button>
</form>
`,
  );
}

const accept = (what, challenge, body) => ask('PUT', `/oauth2/auth/requests/${what}/accept?${what}_challenge=${encodeURIComponent(challenge)}`, body);
const reject = (what, challenge) =>
  ask('PUT', `/oauth2/auth/requests/${what}/reject?${what}_challenge=${encodeURIComponent(challenge)}`, {
    error: 'access_denied',
    error_description: 'The resource owner denied the request',
  });
const details = (what, challenge) => ask('GET', `/oauth2/auth/requests/${what}?${what}_challenge=${encodeURIComponent(challenge)}`);

/** What is granted: never more than was asked for. */
const grant = (asked, scopes, remember) => ({
  grant_scope: asked.requested_scope.filter((scope) => scopes.includes(scope)),
  grant_access_token_audience: asked.requested_access_token_audience,
  remember,
  remember_for: 3600,
  session: { id_token: scopes.includes('profile') ? { name: asked.subject } : {} },
});

const routes = {
  async 'GET /login'(request, response, query) {
    const challenge = query.get('login_challenge') ?? '';
    const asked = await details('login', challenge);
    if (asked.skip) return go(response, (await accept('login', challenge, { subject: asked.subject })).redirect_to);
    loginPage(request, response, challenge);
  },
  async 'POST /login'(request, response) {
    const form = await formOf(request);
    const [challenge, name] = [form.get('challenge') ?? '', form.get('identifier') ?? ''];
    if (!fromOurForm(request, form)) return page(response, 403, 'The form has expired', '<p>Please go back to the application.</p>\n');
    if (form.get('action') !== 'login') return go(response, (await reject('login', challenge)).redirect_to);
    if (!Object.hasOwn(users, name) || form.get('password') !== users[name]) {
      return loginPage(request, response, challenge, { name, wrong: 'The name or the password is wrong' });
    }
    const remember = form.get('remember') === '1';
    go(response, (await accept('login', challenge, { subject: name, remember, remember_for: 3600 })).redirect_to);
  },
  async 'GET /consent'(request, response, query) {
    const challenge = query.get('consent_challenge') ?? '';
    const asked = await details('consent', challenge);
    if (asked.skip) return go(response, (await accept('consent', challenge, grant(asked, asked.requested_scope, false))).redirect_to);
    const csrf = csrfToken(request, response);
    const boxes = asked.requested_scope.map(
      (scope) => `<label><input type="checkbox" name="scope" value="${escaped(scope)}"> ${escaped(scope)}</label>\n`,
    );
    page(
      response,
      200,
      `${asked.client.client_name} asks for access`,
      `<form action="/consent" method="post">
${hidden('csrf', csrf)}${hidden('challenge', challenge)}<p>Signed in as ${escaped(asked.subject)}</p>
${boxes.join('')}<button name="action" value="deny">Deny access</button>
<button name="action" value="allow">Allow access</button>
</form>
`,
    );
  },
  async 'POST /consent'(request, response) {
    const form = await formOf(request);
    const challenge = form.get('challenge') ?? '';
    if (!fromOurForm(request, form)) return page(response, 403, 'The form has expired', '<p>Please go back to the application.</p>\n');
    if (form.get('action') !== 'allow') return go(response, (await reject('consent', challenge)).redirect_to);
    const asked = await details('consent', challenge);
    go(response, (await accept('consent', challenge, grant(asked, form.getAll('scope'), false))).redirect_to);
  },
  async 'GET /error'(request, response, query) {
    page(response, 400, 'The request cannot be answered', `<p role="alert">${escaped(query.get('error'))}: ${escaped(query.get('error_description'))}</p>\n`);
  },
};

loginServer.on('request', async (request, response) => {
  try {
    const url = new URL(request.url, login);
    const route = routes[`${request.method} ${url.pathname}`];
    if (route) await route(request, response, url.searchParams);
    else page(response, 404, 'There is no such page', '');
  } catch (error) {
    // Hydra does not know the challenge (any more), or is gone.
    console.error(error);
    if (!response.headersSent) page(response, [400, 404, 410, 413].includes(error.status) ? 400 : 502, 'This request is not known', '');
    else response.end();
  }
});

console.log(`ready ${issuer}`);
