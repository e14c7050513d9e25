/** Talks to a running agent; every command but `up` is a thin client of this. */
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { ExitCode, WhalescaleError, systemCode } from '../errors.js'
import type { NodeEvent } from '../node/events.js'
import type { CheckView, LkgView, PathsView, PeersView, StatusView } from '../node/views.js'
import type { PingReply } from '../node/pings.js'
import { readOnlySocket } from './socket.js'

/** Longer than the agent takes to give a ping up. */
const timeoutMs = 15_000

type Reply = { status: number; body: Record<string, unknown> }

function connectionError(socket: string, error: Error): WhalescaleError {
  const code = systemCode(error)
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new WhalescaleError(`no agent is running at ${socket}`, {
      code: 'NotRunning',
      remedy: 'start it with "whalescale up", or name its socket with --socket',
      exitCode: ExitCode.notRunning,
      cause: error,
    })
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new WhalescaleError(`${socket} may not be used`, {
      code: 'NoPermission',
      remedy: 'run as the user who started the agent, or as root',
      exitCode: ExitCode.permission,
      cause: error,
    })
  }
  return new WhalescaleError(`the agent at ${socket} does not answer: ${error.message}`, {
    code: 'AgentSilent',
    cause: error,
  })
}

function exchange(
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(connectionError(socketPath, error))
    }
    const outgoing = request({ socketPath, method, path, timeout: timeoutMs }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.once('error', fail)
      incoming.once('end', () => {
        try {
          const value = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Reply['body']
          resolve({ status: incoming.statusCode ?? 0, body: value })
        } catch (error) {
          fail(new Error('its answer is not JSON', { cause: error }))
        }
      })
    })
    outgoing.once('error', fail)
    outgoing.once('timeout', () => outgoing.destroy(new Error('timed out')))
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** An event as it comes over the socket. */
export type StreamedEvent = { readonly time: string } & (
  | NodeEvent
  /** So many before this one were lost, since they were not read in time. */
  | { readonly type: 'dropped'; readonly count: number }
)

function follow(
  socketPath: string,
  onEvent: (event: StreamedEvent) => void,
): Promise<{ close(): void; ended: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: '/v1/events' }, (incoming) => {
      if (incoming.statusCode !== 200) {
        incoming.resume()
        reject(new WhalescaleError('the agent gives no events', { code: 'NoEvents' }))
        return
      }
      const lines = createInterface({ input: incoming })
      lines.on('line', (line) => {
        onEvent(JSON.parse(line) as StreamedEvent)
      })
      const ended = new Promise<void>((end) => lines.once('close', end))
      // The agent ended, or we did: either way there is no more.
      lines.on('error', () => {
        lines.close()
      })
      resolve({ close: () => outgoing.destroy(), ended })
    })
    outgoing.on('error', (error) => {
      reject(connectionError(socketPath, error))
    })
    outgoing.end()
  })
}

type ErrorBody = { code: string; message: string; remedy: string | null; exitCode: ExitCode }

function bodyOf({ status, body }: Reply): Record<string, unknown> {
  if (status === 200) return body
  const error = body['error'] as ErrorBody
  throw new WhalescaleError(error.message, {
    code: error.code,
    exitCode: error.exitCode,
    ...(error.remedy === null ? {} : { remedy: error.remedy }),
  })
}

export class Client {
  readonly #socket: string

  constructor(controlSocket: string) {
    this.#socket = controlSocket
  }

  status(): Promise<StatusView> {
    return this.#ask('/v1/status') as Promise<StatusView>
  }

  peers(): Promise<PeersView> {
    return this.#ask('/v1/peers') as Promise<PeersView>
  }

  paths(): Promise<PathsView> {
    return this.#ask('/v1/paths') as Promise<PathsView>
  }

  lkg(): Promise<LkgView> {
    return this.#ask('/v1/lkg') as Promise<LkgView>
  }

  check(target: string, via: string | null): Promise<CheckView> {
    return this.#order('/v1/check', { target, via }) as Promise<CheckView>
  }

  /**
   * Follows what happens: first what holds now, then each change.
   * @returns what ends it; `ended` resolves when the agent ends it
   */
  follow(
    onEvent: (event: StreamedEvent) => void,
  ): Promise<{ close(): void; ended: Promise<void> }> {
    return follow(this.#socket, onEvent)
  }

  ping(peer: string): Promise<PingReply> {
    return this.#order('/v1/ping', { peer }) as Promise<PingReply>
  }

  async reload(content: string, file: string): Promise<void> {
    await this.#order('/v1/reload', { content, file })
  }

  async down(): Promise<void> {
    await this.#order('/v1/down', {})
  }

  /** Questions go to the control socket, or to the read-only one for those who may not use it. */
  async #ask(path: string): Promise<unknown> {
    try {
      return bodyOf(await exchange(this.#socket, 'GET', path))
    } catch (error) {
      const denied = error instanceof WhalescaleError && error.code === 'NoPermission'
      if (!denied) throw error
      return bodyOf(await exchange(readOnlySocket(this.#socket), 'GET', path))
    }
  }

  async #order(path: string, body: object): Promise<unknown> {
    return bodyOf(await exchange(this.#socket, 'POST', path, body))
  }
}
