// Takes oauth4webapi through all of an authorization server, as openid-client.mjs
// does with its own.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { browser, failing, setting } from './browser.mjs'

const { issuer, apps, visitor } = setting()
const visit = browser(visitor)
const insecure = { [oauth.allowInsecureRequests]: true }

const where = new URL(issuer)
const as = await oauth.processDiscoveryResponse(where,
  await oauth.discoveryRequest(where, { algorithm: 'oauth2', ...insecure }))
assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
assert.equal(as.authorization_response_iss_parameter_supported, true)

for (const app of apps) {
  const c = { client_id: app.client_id }
  const auth = app.client_secret === undefined ? oauth.None()
    : app.post ? oauth.ClientSecretPost(app.client_secret) : oauth.ClientSecretBasic(app.client_secret)

  const ask = async (pushed) => {
    const verifier = oauth.generateRandomCodeVerifier()
    const state = oauth.generateRandomState()
    const parameters = new URLSearchParams({
      client_id: app.client_id, redirect_uri: app.redirect_uri, response_type: 'code', scope: 'meetings:read', state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    })
    const url = new URL(as.authorization_endpoint)
    url.search = parameters
    if (pushed) {
      const answer = await oauth.processPushedAuthorizationResponse(as, c,
        await oauth.pushedAuthorizationRequest(as, c, auth, parameters, insecure))
      url.search = new URLSearchParams({ client_id: app.client_id, request_uri: answer.request_uri })
    }
    return { back: await visit(url), verifier, state }
  }
  const exchange = async (a, change = {}) => {
    const parameters = oauth.validateAuthResponse(as, c, a.back, change.state ?? a.state)
    const response = await oauth.authorizationCodeGrantRequest(as, c, auth, parameters, app.redirect_uri, change.verifier ?? a.verifier, insecure)
    return oauth.processAuthorizationCodeResponse(as, c, response)
  }
  const refresh = async (token) =>
    oauth.processRefreshTokenResponse(as, c, await oauth.refreshTokenGrantRequest(as, c, auth, token, insecure))

  for (const pushed of [false, true]) {
    const tokens = await exchange(await ask(pushed))
    assert.equal(tokens.token_type, 'bearer')
    assert.equal(tokens.expires_in, 3600)
    const next = await refresh(tokens.refresh_token)
    assert.notEqual(next.access_token, tokens.access_token)
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, c, auth, next.refresh_token, insecure))
    await failing('invalid_grant', refresh(next.refresh_token))
    if (app.client_secret !== undefined) {
      const answer = await oauth.processIntrospectionResponse(as, c, await oauth.introspectionRequest(as, c, auth, next.access_token, insecure))
      assert.equal(answer.active, false)
    }
  }
  if (app.machine) {
    const tokens = await oauth.processClientCredentialsResponse(as, c,
      await oauth.clientCredentialsGrantRequest(as, c, auth, { scope: 'meetings:read' }, insecure))
    assert.equal(tokens.refresh_token, undefined)
  }

  await failing('state', exchange(await ask(false), { state: oauth.generateRandomState() }))
  const mixed = await ask(false)
  mixed.back.searchParams.set('iss', 'https://evil.example')
  await failing('iss', exchange(mixed))
  const guessed = await ask(false)
  await failing('invalid_grant', exchange(guessed, { verifier: oauth.generateRandomCodeVerifier() }))
  await failing('invalid_grant', exchange(guessed))
  await failing('"scheme":"basic"', (async () => {
    const answer = await oauth.refreshTokenGrantRequest(as, c, oauth.ClientSecretBasic('wrong'), 'mvo_rt_x', insecure)
    return oauth.processRefreshTokenResponse(as, c, answer)
  })())
}
console.log('ok')
