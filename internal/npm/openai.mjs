// Uses the npm package openai, unmodified, with a server that speaks its format.
// What to use comes on standard input, as JSON: baseURL, keys by name, what the
// answer to "Good morning" is, and the name of the key whose limit is spent.
import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

const { baseURL, keys, echoed, limited } = JSON.parse(await text(process.stdin));
const client = (apiKey, more) => new OpenAI({ baseURL, apiKey, maxRetries: 0, ...more });

const openai = client(keys.valid);
const models = [];
for await (const model of openai.models.list()) models.push(model.id);
assert.deepEqual(models, ['mavera-echo', 'mavera-echo-mini']);
assert.equal((await openai.models.retrieve('mavera-echo')).owned_by, 'mavera');

const messages = [{ role: 'system', content: 'Be brief' }, { role: 'user', content: 'Good morning' }];
const chat = await openai.chat.completions.create({ model: 'mavera-echo', messages });
assert.equal(chat.choices[0].message.content, echoed);
assert.equal(chat.choices[0].finish_reason, 'stop');
assert.equal(chat.usage.total_tokens, chat.usage.prompt_tokens + chat.usage.completion_tokens);
assert.match(chat._request_id, /^[A-Z0-9]{26}$/);

let said = '', usage;
const stream = await openai.chat.completions.create({ model: 'mavera-echo', messages, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  said += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
assert.equal(said, echoed);
assert.deepEqual(usage, chat.usage);
assert.equal((await openai.chat.completions.stream({ model: 'mavera-echo', messages }).finalContent()), echoed);

const response = await openai.responses.create({ model: 'mavera-echo', input: 'Good morning' });
assert.equal(response.output_text, echoed);
assert.equal(response.status, 'completed');
const names = [];
said = '';
for await (const event of await openai.responses.create({ model: 'mavera-echo', input: 'Good morning', stream: true })) {
  if (names.at(-1) !== event.type) names.push(event.type);
  if (event.type === 'response.output_text.delta') said += event.delta;
}
assert.equal(said, echoed);
assert.deepEqual(names, ['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added',
  'response.output_text.delta', 'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed']);
assert.equal((await openai.responses.stream({ model: 'mavera-echo', input: 'Good morning' }).finalResponse()).output_text, echoed);

// raises checks the error's class, and what it tells.
async function raises(call, kind, status, type, code, param = null) {
  await assert.rejects(call, (e) => {
    assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
    assert.deepEqual([e.status, e.type, e.code, e.param], [status, type, code, param]);
    assert.match(e.requestID, /^[A-Z0-9]{26}$/);
    return true;
  });
}
const list = (key, more) => () => client(key, more).models.list();
await raises(list('none', { defaultHeaders: { Authorization: null } }), OpenAI.AuthenticationError, 401, 'authentication_error', 'missing_api_key');
await raises(list('mvra_live_your_key_here'), OpenAI.AuthenticationError, 401, 'authentication_error', 'invalid_api_key');
await raises(list(keys.revoked), OpenAI.AuthenticationError, 401, 'authentication_error', 'revoked_api_key');
await raises(list(keys.expired), OpenAI.AuthenticationError, 401, 'authentication_error', 'expired_api_key');
await raises(list(keys.lapsed), OpenAI.APIError, 402, 'billing_error', 'subscription_required');
await raises(list(keys[limited]), OpenAI.RateLimitError, 429, 'rate_limit_error', 'rate_limit_exceeded');
await raises(() => openai.chat.completions.create({ model: 'gpt-4o', messages }), OpenAI.NotFoundError, 404, 'invalid_request_error', 'model_not_found', 'model');
await raises(() => openai.chat.completions.create({ model: 'mavera-echo', messages: [] }), OpenAI.BadRequestError, 400, 'invalid_request_error', 'invalid_value', 'messages');
console.log('all is well');
