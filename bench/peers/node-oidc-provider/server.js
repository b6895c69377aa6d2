// node-oidc-provider as a contender of `counterfoil bench refresh`: see ../README.md.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Provider from 'oidc-provider';
import { MapAdapter } from './map-adapter.js';

const KEY_PAIRS = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const SCOPE = 'openid offline_access';
const CLIENT_ID = 'bench';
const DAY = 24 * 60 * 60;

const { alg, chains, port, dir } = asked(process.env);
const clientSecret = randomBytes(32).toString('base64url');
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, configuration());
provider.on('server_error', (_ctx, error) => console.error(error));

const tokens = await seed();
const tokenFile = join(dir, 'refresh-tokens');
writeFileSync(tokenFile, `${tokens.join('\n')}\n`, { mode: 0o600 });

const server = provider.listen(port, '127.0.0.1', ready);
server.on('error', ({ message }) => refuse(`port ${port}: ${message}`));
// Connections wait while the other contenders have their turn.
server.keepAliveTimeout = 10 * 60 * 1000;
process.on('SIGTERM', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();

function ready() {
  const { version } = JSON.parse(readFileSync(new URL('node_modules/oidc-provider/package.json', import.meta.url), 'utf8'));
  console.log(JSON.stringify({
    name: `node-oidc-provider ${version}`,
    note: `Node ${process.versions.node}, in memory, nothing durable, ${alg}`,
    token_endpoint: `${issuer}/token`,
    client_id: CLIENT_ID,
    client_secret: clientSecret,
    auth: 'post',
    refresh_tokens: tokenFile,
    pids: [process.pid],
  }));
}

function configuration() {
  const jwk = { ...KEY_PAIRS[alg]().privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: 'bench' };
  return {
    adapter: MapAdapter,
    jwks: { keys: [jwk] },
    enabledJWA: { idTokenSigningAlgValues: [alg] },
    clients: [{
      client_id: CLIENT_ID,
      client_secret: clientSecret,
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      redirect_uris: ['https://client.example/callback'],
      id_token_signed_response_alg: alg,
    }],
    scopes: SCOPE.split(' '),
    // The default rotates a confidential client's refresh token only near its end.
    rotateRefreshToken: true,
    ttl: { AccessToken: DAY, IdToken: DAY, RefreshToken: 365 * DAY, Grant: 365 * DAY },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    features: { devInteractions: { enabled: false } },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
  };
}

/** One grant and one refresh token a chain, as the exchange of a code leaves them. */
async function seed() {
  const client = await provider.Client.find(CLIENT_ID);
  const authTime = Math.floor(Date.now() / 1000);
  const tokens = [];
  for (let chain = 0; chain < chains; chain += 1) {
    const accountId = `customer-${chain}`;
    const grant = new provider.Grant({ accountId, clientId: CLIENT_ID });
    grant.addOIDCScope(SCOPE);
    const refreshToken = new provider.RefreshToken({
      accountId,
      authTime,
      client,
      expiresWithSession: false,
      grantId: await grant.save(),
      gty: 'authorization_code',
      rotations: 0,
      scope: SCOPE,
      sessionUid: `session-${chain}`,
    });
    tokens.push(await refreshToken.save());
  }
  return tokens;
}

function asked({ BENCH_ALG: alg, BENCH_CHAINS: chains, BENCH_PORT: port, BENCH_DIR: dir }) {
  if (!Object.hasOwn(KEY_PAIRS, alg ?? '')) refuse(`set BENCH_ALG to one of ${Object.keys(KEY_PAIRS).join(', ')}`);
  if (!(Number(chains) > 0)) refuse('set BENCH_CHAINS to the number of refresh tokens to make');
  if (!(Number(port) > 0)) refuse('set BENCH_PORT to a free port');
  if (!dir) refuse('set BENCH_DIR to a directory for the file of refresh tokens');
  return { alg, chains: Number(chains), port: Number(port), dir };
}

function refuse(why) {
  console.error(`node-oidc-provider: ${why}`);
  process.exit(2);
}
