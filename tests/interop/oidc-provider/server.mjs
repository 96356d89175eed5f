// oidc-provider, configured in six ways. Started by start.sh, which says what it reads from the environment.
//   default  the library as it comes, with introspection and revocation switched on
//   weak     what its configuration lets one weaken, and a redirect check by prefix
//   jwt      as default; access tokens are RS256 JWTs for an API that is served here as well, at /api
//   strict   FAPI 2.0: pushed requests, DPoP with nonces, private_key_jwt, ES256; no rotation, since every token is bound
//   mtls     https; clients with certificates, one from an authority and one self-signed, and tokens bound to them. Their
//            endpoints are on another host name than the rest (mtls_endpoint_aliases). Needs openssl
//   signed   authorization requests must be signed: by a client with client_secret_jwt and by one with private_key_jwt
import { execFileSync } from 'node:child_process';
import { X509Certificate, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { Provider } from 'oidc-provider';

console.info = console.error; // the library's notices: standard output is for the line `ready …` alone

const mode = process.env.MODE || 'default';
const modes = ['default', 'weak', 'jwt', 'strict', 'mtls', 'signed'];
if (!modes.includes(mode)) throw new Error(`MODE=${mode}: it is one of ${modes.join(', ')}`);
const keyFile = process.env.CLIENT_KEY_FILE || fileURLToPath(new URL('client-key.pem', import.meta.url));

// Makes FILE.NAME.pem and FILE.NAME.key, signed by the authority of that name, or by itself.
function certificate(name, more = [], authority) {
  const signer = authority ? ['-CA', `${keyFile}.${authority}.pem`, '-CAkey', `${keyFile}.${authority}.key`] : [];
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`];
  execFileSync('openssl', [...words, '-keyout', `${keyFile}.${name}.key`, '-out', `${keyFile}.${name}.pem`, ...signer, ...more], { stdio: 'pipe' });
  return readFileSync(`${keyFile}.${name}.pem`);
}

let tls;
if (mode === 'mtls') {
  const ca = certificate('ca');
  const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const cert = certificate('server', leaf, 'ca');
  certificate('client', leaf, 'ca');
  tls = { ca, cert, key: readFileSync(`${keyFile}.server.key`), requestCert: true, rejectUnauthorized: false, self: certificate('self') };
}

// The issuer is part of every answer, so the port has to be known before there is a provider.
const server = (tls ? createTlsServer(tls) : createServer()).listen(Number(process.env.PORT || 0), '127.0.0.1');
await once(server, 'listening');
const port = server.address().port;
const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = (key, more) => ({ ...key.export({ format: 'jwk' }), use: 'sig', ...more });
const clientKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
writeFileSync(keyFile, clientKey.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });

const client = {
  redirect_uris: ['http://127.0.0.1:9123/cb'], // nothing listens there
  grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
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
    deviceFlow: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
  },
};

if (mode === 'weak') {
  config.pkce = { required: () => false };
  config.rotateRefreshToken = false;
  config.acceptQueryParamAccessTokens = true;
  config.features.introspection.allowedPolicy = () => true;
  config.features.backchannelLogout = { enabled: true };
  // By itself the library cuts every connection of its own to loopback and private networks.
  config.fetch = (url, { dispatcher, ...options }) => fetch(url, options);
  config.responseTypes = ['code', 'id_token', 'id_token token', 'code token', 'code id_token', 'code id_token token'];
  for (const each of clients) {
    each.grant_types = [...each.grant_types, 'implicit'];
    each.response_types = config.responseTypes;
    each.application_type = 'native'; // a web client may not combine the implicit grant with http
  }
}

if (mode === 'strict') {
  const es256 = jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, { kid: 'e1', alg: 'ES256' });
  config.jwks.keys.unshift(es256);
  const pkjwt = {
    ...clients.find(({ client_id }) => client_id === 'pkjwt'),
    redirect_uris: ['https://127.0.0.1:9123/cb'],
    id_token_signed_response_alg: 'ES256',
    dpop_bound_access_tokens: true,
  };
  config.clients = [pkjwt, { ...pkjwt, client_id: 'pkjwt2' }];
  config.clientAuthMethods = ['private_key_jwt'];
  config.pkce = { required: () => true };
  config.rotateRefreshToken = false; // FAPI 2.0 §5.3.2.1
  config.features.fapi = { enabled: true, profile: '2.0' };
  config.features.pushedAuthorizationRequests = { enabled: true, requirePushedAuthorizationRequests: true };
  config.features.dPoP = { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true };
}

if (mode === 'mtls') {
  const alias = `https://localhost:${port}`;
  // Only behind the aliases are certificates looked at, as where one host asks for them and another does not.
  const shown = (ctx) => (ctx.host === `localhost:${port}` ? ctx.socket.getPeerX509Certificate() : undefined);
  const self = new X509Certificate(tls.self);
  const bound = { ...client, redirect_uris: ['https://127.0.0.1:9123/cb'], tls_client_certificate_bound_access_tokens: true };
  const pkjwt = clients.find(({ client_id }) => client_id === 'pkjwt');
  config.clients = [
    { ...bound, client_id: 'tls', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=client' },
    {
      ...bound,
      client_id: 'self',
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [jwk(self.publicKey, { x5c: [self.raw.toString('base64')] })] },
    },
    { ...pkjwt, ...bound },
  ];
  config.clientAuthMethods = ['tls_client_auth', 'self_signed_tls_client_auth', 'private_key_jwt'];
  config.pkce = { required: () => true };
  config.features.mTLS = {
    enabled: true,
    certificateBoundAccessTokens: true,
    tlsClientAuth: true,
    selfSignedTlsClientAuth: true,
    getCertificate: shown,
    certificateAuthorized: (ctx) => ctx.socket.authorized,
    certificateSubjectMatches: (ctx, property, expected) => property === 'tls_client_auth_subject_dn' && shown(ctx)?.subject === expected,
  };
  config.discovery = {
    mtls_endpoint_aliases: {
      token_endpoint: `${alias}/token`,
      userinfo_endpoint: `${alias}/me`,
      introspection_endpoint: `${alias}/token/introspection`,
      device_authorization_endpoint: `${alias}/device/auth`,
      revocation_endpoint: `${alias}/token/revocation`,
      pushed_authorization_request_endpoint: `${alias}/request`,
    },
  };
}

if (mode === 'signed') {
  const conf = clients.find(({ client_id }) => client_id === 'conf');
  const pkjwt = clients.find(({ client_id }) => client_id === 'pkjwt');
  const secret = { ...conf, client_id: 'secretjwt', token_endpoint_auth_method: 'client_secret_jwt', token_endpoint_auth_signing_alg: 'HS256' };
  config.clients = [
    { ...secret, request_object_signing_alg: 'HS256' },
    { ...pkjwt, request_object_signing_alg: 'ES256' },
    { ...pkjwt, client_id: 'pkjwt2', request_object_signing_alg: 'ES256' },
  ];
  config.clientAuthMethods = ['client_secret_jwt', 'private_key_jwt'];
  config.pkce = { required: () => true };
  config.features.requestObjects = { enabled: true, requireSignedRequestObject: true };
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
