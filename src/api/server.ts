/**
 * The local API: HTTP with JSON over two Unix sockets. The mode of a socket is the check of who may
 * use it: orders are taken on the control socket (0600) only, the other one (0660) answers questions.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { ExitCode, WhalescaleError, messageOf } from '../errors.js'
import type { Agent } from '../node/agent.js'
import { schemaVersion } from '../node/views.js'
import { metricsText, metricsType } from './metrics.js'
import { readOnlySocket } from './socket.js'
import { streamsOf } from './stream.js'

/** Twice the largest configuration, since JSON escapes quotes and line ends. */
const largestBody = 8 * 1024 * 1024
/** Commands of a few users and a dashboard; each connection holds some kilobytes. */
const mostConnections = 64
const requestTimeoutMs = 10_000

export type Served = Pick<
  Agent,
  'status' | 'peers' | 'paths' | 'lkg' | 'ping' | 'check' | 'shutdown' | 'events'
>
/** Applies the text of a configuration file; throws WhalescaleError when it is not fit. */
export type Reload = (content: string, file: string) => Promise<void>

type Order = (body: Readonly<Record<string, unknown>>) => Promise<object>

const statusOfExit: Record<ExitCode, number> = {
  [ExitCode.ok]: 200,
  [ExitCode.failure]: 500,
  [ExitCode.usage]: 400,
  [ExitCode.notRunning]: 503,
  [ExitCode.unreachable]: 504,
  [ExitCode.permission]: 403,
}

function refusal(message: string): WhalescaleError {
  return new WhalescaleError(message, { code: 'BadRequest', exitCode: ExitCode.usage })
}

function textField(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name]
  if (typeof value === 'string') return value
  throw refusal(`the field ${name} is missing or not a string`)
}

/** Null when the field is missing. */
function optionalField(body: Readonly<Record<string, unknown>>, name: string): string | null {
  return (body[name] ?? null) === null ? null : textField(body, name)
}

async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestBody) throw refusal('the request is too large')
    chunks.push(chunk)
  }
  if (size === 0) return {}
  let value: unknown
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    throw refusal(`the request is not JSON: ${messageOf(error)}`)
  }
  if (typeof value !== 'object' || value === null) throw refusal('the request is not an object')
  return { ...value }
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify({ schema: schemaVersion, ...body })
  // A connection is for one request; leftovers of a refused body are not read.
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(`${text}\n`)
}

function replyError(response: ServerResponse, error: unknown): void {
  const known = error instanceof WhalescaleError
  const code = known ? error.code : 'Internal'
  const exitCode = known ? error.exitCode : ExitCode.failure
  const remedy = known ? (error.remedy ?? null) : null
  const body = { error: { code, message: messageOf(error), remedy, exitCode } }
  reply(response, statusOfExit[exitCode], body)
}

function questionsOf(agent: Served): ReadonlyMap<string, () => object> {
  return new Map<string, () => object>([
    ['/v1/status', () => agent.status()],
    ['/v1/peers', () => agent.peers()],
    ['/v1/paths', () => agent.paths()],
    ['/v1/lkg', () => agent.lkg()],
  ])
}

function ordersOf(agent: Served, reload: Reload): ReadonlyMap<string, Order> {
  return new Map<string, Order>([
    ['/v1/ping', async (body) => agent.ping(textField(body, 'peer'))],
    [
      '/v1/check',
      async (body) => agent.check(textField(body, 'target'), optionalField(body, 'via')),
    ],
    [
      '/v1/reload',
      async (body) => {
        await reload(textField(body, 'content'), textField(body, 'file'))
        return {}
      },
    ],
    [
      '/v1/down',
      () => {
        void agent.shutdown()
        return Promise.resolve({})
      },
    ],
  ])
}

export type ApiServer = { close(): Promise<void> }

/** Starts both sockets; whoever stops the agent closes them. */
export async function serve(
  agent: Served,
  reload: Reload,
  controlSocket: string,
): Promise<ApiServer> {
  const questions = questionsOf(agent)
  const orders = ordersOf(agent, reload)
  const answer = async (request: IncomingMessage, mayOrder: boolean): Promise<object> => {
    const path = request.url ?? ''
    const order = orders.get(path)
    if (order !== undefined && request.method === 'POST') {
      if (mayOrder) return order(await readBody(request))
      throw new WhalescaleError('this socket takes no orders', {
        code: 'ReadOnly',
        remedy: 'use the control socket',
        exitCode: ExitCode.permission,
      })
    }
    const question = questions.get(path)
    if (question !== undefined && request.method === 'GET') return question()
    throw refusal(`${request.method ?? ''} ${path} is not known`)
  }

  const streams = streamsOf(agent)
  const respond = async (
    request: IncomingMessage,
    response: ServerResponse,
    mayOrder: boolean,
  ): Promise<void> => {
    const asked = request.method === 'GET' ? request.url : undefined
    if (asked === '/v1/events') {
      if (!streams.add(response)) throw refusal('too many event streams are open')
    } else if (asked === '/metrics') {
      response.writeHead(200, { 'content-type': metricsType, connection: 'close' })
      response.end(metricsText(agent.status(), agent.paths()))
    } else reply(response, 200, await answer(request, mayOrder))
  }
  const control = await listen(controlSocket, 0o600, (...both) => respond(...both, true))
  const readOnly = await listen(readOnlySocket(controlSocket), 0o660, (...both) =>
    respond(...both, false),
  )
  return {
    close: async () => {
      streams.close()
      await Promise.all([closed(readOnly), closed(control)])
      rmSync(readOnlySocket(controlSocket), { force: true })
      rmSync(controlSocket, { force: true })
    },
  }
}

function listen(
  path: string,
  mode: number,
  respond: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Server> {
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    respond(request, response).catch((error: unknown) => {
      replyError(response, error)
    })
  })
  server.maxConnections = mostConnections
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // The socket is bound inside this call: nobody else may connect before its mode is set.
    const umask = process.umask(0o177)
    server.listen(path, () => {
      chmodSync(path, mode)
      resolve(server)
    })
    process.umask(umask)
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve()
    })
    server.closeIdleConnections()
  })
}
