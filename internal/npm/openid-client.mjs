// Takes openid-client through all of an authorization server: argv[2] is JSON with
// the issuer, its apps and the name of a visitor who is signed in. Whatever should
// fail and doesn't ends the script.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { browser, failing, setting } from './browser.mjs'

const { issuer, apps, visitor, dpop } = setting()
const visit = browser(visitor)

for (const app of apps) {
  const method = app.client_secret === undefined ? client.None() : app.post ? client.ClientSecretPost() : client.ClientSecretBasic()
  const config = await client.discovery(new URL(issuer), app.client_id, app.client_secret, method, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  })
  const options = dpop ? { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair()) } : undefined

  const ask = async (pushed, extra) => {
    const verifier = client.randomPKCECodeVerifier()
    const state = client.randomState()
    const parameters = {
      redirect_uri: app.redirect_uri, scope: 'meetings:read', state,
      code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...extra,
    }
    const url = pushed
      ? await client.buildAuthorizationUrlWithPAR(config, parameters, options)
      : client.buildAuthorizationUrl(config, parameters)
    return { back: await visit(url), verifier, state }
  }
  const exchange = (a, change = {}) =>
    client.authorizationCodeGrant(config, change.back ?? a.back, {
      pkceCodeVerifier: change.verifier ?? a.verifier, expectedState: change.state ?? a.state,
    }, undefined, options)

  for (const pushed of [false, true]) {
    const tokens = await exchange(await ask(pushed))
    assert.equal(tokens.expires_in, 3600)
    assert.equal(tokens.scope, 'meetings:read')
    assert.equal(tokens.token_type, dpop ? 'dpop' : 'bearer') // openid-client writes it in small letters
    const next = await client.refreshTokenGrant(config, tokens.refresh_token, { scope: 'meetings:read' }, options)
    assert.notEqual(next.refresh_token, tokens.refresh_token)
    if (app.client_secret !== undefined) {
      assert.equal((await client.tokenIntrospection(config, next.access_token)).active, true)
    }
    await client.tokenRevocation(config, next.refresh_token, { token_type_hint: 'refresh_token' })
    await failing('invalid_grant', client.refreshTokenGrant(config, next.refresh_token, undefined, options))
    if (app.client_secret !== undefined) {
      assert.equal((await client.tokenIntrospection(config, next.access_token)).active, false)
    }
  }

  await failing('state', exchange(await ask(false), { state: client.randomState() }))
  const mixed = await ask(false)
  mixed.back.searchParams.set('iss', 'https://evil.example')
  await failing('iss', exchange(mixed))
  const anonymous = await ask(false)
  anonymous.back.searchParams.delete('iss')
  await failing('iss', exchange(anonymous))
  const guessed = await ask(false)
  await failing('invalid_grant', exchange(guessed, { verifier: client.randomPKCECodeVerifier() }))
  await failing('invalid_grant', exchange(guessed))
  await failing('invalid_scope', exchange(await ask(false, { scope: 'nonsense:read' })))
}
console.log('ok')
