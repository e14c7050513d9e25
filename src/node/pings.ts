/** Pings under way, from the token that the addon echoes to whoever waits for the answer. */
import type { NativeEvent, PathKind } from '../native.js'

export type PingReply = {
  readonly rttMs: number
  readonly kind: PathKind
  readonly local: string | null
  readonly remote: string
}

/** Callers that may wait at once; each holds an HTTP request open. */
const mostPending = 64

export class Pings {
  readonly #pending = new Map<number, (reply: PingReply | undefined) => void>()
  #lastToken = 0

  /** Whether another ping may start. */
  get full(): boolean {
    return this.#pending.size >= mostPending
  }

  /** Sends by `send(token)`; the reply is undefined when none came within `timeoutMs`. */
  async run(send: (token: number) => void, timeoutMs: number): Promise<PingReply | undefined> {
    this.#lastToken = (this.#lastToken + 1) % 2 ** 32
    const token = this.#lastToken
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve) => {
        this.#pending.set(token, resolve)
        timer = setTimeout(() => {
          resolve(undefined)
        }, timeoutMs)
        send(token)
      })
    } finally {
      clearTimeout(timer)
      this.#pending.delete(token)
    }
  }

  settle(event: Extract<NativeEvent, { type: 'Pong' | 'PingTimeout' }>): void {
    const resolve = this.#pending.get(event.token)
    if (resolve === undefined) return
    if (event.type === 'PingTimeout') resolve(undefined)
    else {
      const { rttUs, kind, local, remote } = event
      resolve({ rttMs: rttUs / 1000, kind, local, remote })
    }
  }

  /** Ends every ping as unanswered. */
  close(): void {
    for (const resolve of this.#pending.values()) resolve(undefined)
  }
}
