// oidc-provider, configured in three ways. Started by start.sh, which says what it reads from the environment.
//   default  the library as it comes, with introspection and revocation switched on
//   weak     what its configuration lets one weaken, and a redirect check by prefix
//   jwt      as default; access tokens are RS256 JWTs for an API that is served here as well, at /api
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { Provider } from 'oidc-provider';

console.info = console.error; // the library's notices: standard output is for the line `ready …` alone

const mode = process.env.MODE || 'default';
if (!['default', 'weak', 'jwt'].includes(mode)) throw new Error(`MODE=${mode}: it is default, weak or jwt`);

// The issuer is part of every answer, so the port has to be known before there is a provider.
const server = createServer().listen(Number(process.env.PORT || 0), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = (key, more) => ({ ...key.export({ format: 'jwk' }), use: 'sig', ...more });
const clientKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(
  process.env.CLIENT_KEY_FILE || new URL('client-key.pem', import.meta.url),
  clientKey.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  { mode: 0o600 },
);

const client = {
  redirect_uris: ['http://127.0.0.1:9123/cb'], // nothing listens there
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
};
const clients = [
  { ...client, client_id: 'public', token_endpoint_auth_method: 'none' },
  { ...client, client_id: 'other', token_endpoint_auth_method: 'none' },
  { ...client, client_id: 'conf', client_secret: 'throw-away-secret-of-the-interop-tests' },
  {
    ...client,
    client_id: 'pkjwt',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [jwk(clientKey.publicKey, { kid: 'c1', alg: 'ES256' })] },
  },
];

const config = {
  clients,
  jwks: { keys: [jwk(rsa.privateKey, { kid: 'r1', alg: 'RS256' })] },
  cookies: { keys: ['signs the cookies of a test'] },
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  // Every name is a user, and every password is right: the library's own pages for development ask for both.
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: id, email: `${id}@example.com` }) }),
  issueRefreshToken: () => true, // without offline_access too, so that the refresh scenarios have something to attack
  features: {
    introspection: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true }, // for `init --register`; no scenario uses it
    registrationManagement: { enabled: true },
  },
};

if (mode === 'weak') {
  config.pkce = { required: () => false };
  config.rotateRefreshToken = false;
  config.acceptQueryParamAccessTokens = true;
  config.features.introspection.allowedPolicy = () => true;
  config.responseTypes = ['code', 'id_token', 'id_token token', 'code token', 'code id_token', 'code id_token token'];
  for (const each of clients) {
    each.grant_types = [...each.grant_types, 'implicit'];
    each.response_types = config.responseTypes;
    each.application_type = 'native'; // a web client may not combine the implicit grant with http
  }
}

const api = `${issuer}/api`;
if (mode === 'jwt') {
  config.features.resourceIndicators = {
    enabled: true,
    defaultResource: () => api,
    useGrantedResource: () => true, // the token is for the API even where userinfo would do
    getResourceServerInfo: () => ({
      scope: 'api:read api:write',
      audience: api,
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'RS256' } },
    }),
  };
}

const provider = new Provider(issuer, config);
provider.on('server_error', (_, error) => console.error('server_error', error));

if (mode === 'weak') {
  // As hand-written servers do it: the registered address need only be the beginning.
  provider.Client.prototype.redirectUriAllowed = function (uri) {
    return this.redirectUris.some((registered) => uri.startsWith(registered));
  };
}

if (mode === 'jwt') {
  // An API that checks its tokens offline (RFC 9068 §4): it learns nothing of a revocation.
  const keys = createLocalJWKSet({ keys: [jwk(rsa.publicKey, { kid: 'r1', alg: 'RS256' })] });
  provider.use(async (ctx, next) => {
    if (ctx.path !== '/api') return next();
    const token = /^Bearer +(\S+)$/i.exec(ctx.get('authorization'))?.[1];
    try {
      if (!token) throw undefined;
      const { payload } = await jwtVerify(token, keys, { issuer, audience: api, algorithms: ['RS256'], typ: 'at+jwt' });
      ctx.body = { sub: payload.sub, scope: payload.scope };
    } catch {
      ctx.status = 401;
      ctx.set('www-authenticate', token ? 'Bearer error="invalid_token"' : 'Bearer');
    }
  });
}

server.on('request', provider.callback());
console.log(`ready ${issuer}`);
