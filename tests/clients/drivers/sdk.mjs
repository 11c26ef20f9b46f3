// Runs steps with the JavaScript SDK and prints what came of each, as JSON: the same as sdk.py.
//
// The SDK is the one installed in the folder TOLLGATE_CLIENTS.

import { createRequire } from 'node:module'

const require = createRequire(`${process.env.TOLLGATE_CLIENTS}/`)
const { Anthropic, APIError } = require('@anthropic-ai/sdk')

const MODEL = 'claude-opus-5-5'
const TOOL = {
  name: 'weather',
  description: 'The weather of a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
}

async function run(step) {
  const options = step.key === undefined ? {} : { apiKey: step.key }
  if (step.session !== undefined) options.defaultHeaders = { 'x-claude-code-session-id': step.session }
  const client = new Anthropic({ maxRetries: step.retries ?? 0, ...options })
  try {
    return await STEPS[step.do](client, step)
  } catch (error) {
    if (!(error instanceof APIError) || error.status === undefined) {
      return { error: error.constructor.name, text: `${error.message} ${error.cause ?? ''}` }
    }
    return {
      error: error.constructor.name,
      status: error.status,
      request_id: error.requestID,
      type: error.type,
      text: error.message,
      retry_after: error.headers.get('retry-after'),
    }
  }
}

function asked(step) {
  return {
    model: step.model ?? MODEL,
    max_tokens: 4096,
    messages: [{ role: 'user', content: step.prompt ?? 'Hello' }],
  }
}

function told(message, requestId) {
  return {
    text: message.content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
    model: message.model,
    stop_reason: message.stop_reason,
    input_tokens: message.usage.input_tokens,
    output_tokens: message.usage.output_tokens,
    request_id: requestId,
  }
}

const STEPS = {
  async message(client, step) {
    const answer = await client.messages.create(asked(step))
    return told(answer, answer._request_id)
  },

  async parallel(client, step) {
    const answers = await Promise.all([1, 2].map(() => client.messages.create(asked(step))))
    return { texts: answers.map((answer) => told(answer).text) }
  },

  async stream(client, step) {
    const events = client.messages.stream(asked(step))
    const pieces = []
    events.on('text', (piece) => pieces.push(piece))
    const final = await events.finalMessage()
    return { pieces: pieces.length, joined: pieces.join(''), ...told(final, events.request_id) }
  },

  async leave(client, step) {
    const events = client.messages.stream(asked(step))
    const pieces = []
    for await (const event of events) {
      if (event.type === 'content_block_delta') pieces.push(event.delta.text)
      if (pieces.length === 3) break
    }
    return { joined: pieces.join('') }
  },

  async tools(client, step) {
    const question = { ...asked(step), tools: [TOOL] }
    const first = await client.messages.stream(question).finalMessage()
    const calls = first.content.filter((block) => block.type === 'tool_use')
    const results = calls.map((call) => ({ type: 'tool_result', tool_use_id: call.id, content: '7 degrees' }))
    question.messages.push({ role: 'assistant', content: first.content }, { role: 'user', content: results })
    const second = await client.messages.create(question)
    return {
      stop_reason: first.stop_reason,
      calls: calls.map(({ name, input }) => ({ name, input })),
      answer: told(second, second._request_id),
    }
  },

  async count(client, step) {
    const { max_tokens, ...question } = asked(step)
    return { input_tokens: (await client.messages.countTokens(question)).input_tokens }
  },

  async models(client) {
    const ids = []
    for await (const model of client.models.list({ limit: 5 })) ids.push(model.id)
    return { ids }
  },

  async model(client, step) {
    return { id: (await client.models.retrieve(step.model)).id }
  },
}

const results = []
for (const step of JSON.parse(process.argv[2])) results.push(await run(step))
console.log(JSON.stringify(results))
