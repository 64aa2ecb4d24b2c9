// What the scripts that play OAuth clients share: a person with a browser.
import assert from 'node:assert/strict'

export const setting = () => JSON.parse(process.argv[2])

// browser returns a function that follows a link to where the app gets its answer.
// The visitor agrees to what they are asked.
export const browser = (visitor) => async (url) => {
  const go = (where, init = {}) => fetch(where, { redirect: 'manual', ...init, headers: { ...init.headers, Visitor: visitor } })
  const here = new URL(url)
  let response = await go(here)
  for (let hops = 0; hops < 5; hops++) {
    const location = response.headers.get('location')
    if (response.status === 303) {
      const next = new URL(location, here)
      if (next.origin !== here.origin || next.pathname === '/callback') return next
      response = await go(next)
      continue
    }
    const page = await response.text()
    assert.equal(response.status, 200, page)
    const action = new URL(/<form method="post" action="([^"]+)"/.exec(page)[1], here)
    const request = /name="request" value="([^"]+)"/.exec(page)[1]
    response = await go(action, { method: 'POST', body: new URLSearchParams({ request, decision: 'allow' }) })
  }
  throw new Error('the browser goes round in circles')
}

// failing wants a promise to be rejected with an error that says text.
export const failing = async (text, promise) => {
  let answer
  try {
    answer = await promise
  } catch (err) {
    const said = [err.error, err.code, err.message, err.error_description, err.cause?.error, err.cause?.message, JSON.stringify(err.cause ?? null)].join(' ')
    assert.ok(said.includes(text), `it fails with ${said}, and not with ${text}`)
    return
  }
  throw new Error(`it should fail with ${text}, and gives ${JSON.stringify(answer)}`)
}
