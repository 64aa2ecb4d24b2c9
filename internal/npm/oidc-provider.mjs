// A real authorization server that others wrote: npm oidc-provider, on a loopback
// port, until its standard input ends. It prints {"issuer": URL} when it is ready.
//
// Clients get tokens for themselves; the resource that they ask for says of which
// form: its last path segment is an algorithm, or "opaque". POST /rotate?keep=true
// makes new signing keys, which sign at once; without keep the old ones are gone.
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

console.warn = console.info = () => {}; // it warns of what only production must mend

let generation = 0;
async function makeKeys() {
  generation += 1;
  const keys = [];
  for (const alg of ['RS256', 'ES256', 'Ed25519']) {
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    keys.push({ ...await exportJWK(privateKey), kid: `${alg}-${generation}`, use: 'sig' });
  }
  return keys;
}

const client = (id, more) => ({
  client_id: id, client_secret: `${id}-secret`, redirect_uris: [], response_types: [],
  grant_types: ['client_credentials'], ...more,
});

function provider(issuer, keys) {
  const p = new Provider(issuer, {
    jwks: { keys },
    clients: [client('app'), client('prover', { dpop_bound_access_tokens: true }), client('api')],
    scopes: ['meetings:read', 'meetings:write'],
    features: {
      devInteractions: { enabled: false }, clientCredentials: { enabled: true }, introspection: { enabled: true }, dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(ctx, resource) {
          const form = resource.split('/').pop();
          return { scope: 'meetings:read meetings:write', accessTokenTTL: 3600,
            ...form === 'opaque' ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: form } } } };
        },
      },
    },
  });
  return p.callback();
}

const server = createServer();
server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let keys = await makeKeys();
  let handle = provider(issuer, keys);
  server.on('request', async (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname !== '/rotate') return handle(request, response);
    const young = await makeKeys();
    keys = url.searchParams.get('keep') ? [...young, ...keys] : young;
    handle = provider(issuer, keys);
    response.end();
  });
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume().on('end', () => process.exit());
