/** The addon in memory: remembers what it was told, reports what a test tells it to. */
import { createHash } from 'node:crypto'
import type { Command, Identity, Native, NativeEvent, OpenConfig, Stats } from '#src/native.js'

export const identity: Identity = {
  nodeId: '25nj7mlq3t2znl4tvlxlqiwevhatpwatvpmuoy3scbfnpdx3ykuq',
  wireguardPublicKey: 'HNG7ynM3m1Dz3cuhNbP+3YoPbNuxSdsbcDjYAgYtu2Y=',
  overlayIpv6: 'fd5a:4c1e:9b20:1:2:3:4:5',
}

export const idleStats: Stats = {
  aead: 'ring',
  aeadAvailable: ['ring'],
  ipsecMbUnavailable: 'built without intel-ipsec-mb.h',
  port: 51820,
  innerMtu: 1420,
  tun: { name: 'whale0', vnetHeader: true, tso: true, uso: false },
  udp: [
    {
      interface: null,
      local: '0.0.0.0:51820',
      gso: true,
      gro: true,
      receiveBuffer: 4096,
      sendBuffer: 4096,
      kernelDrops: 0,
    },
  ],
  drops: {},
  peers: [],
}

export class NativeTwin implements Native {
  opened: OpenConfig | undefined
  closed = 0
  readonly applied: Command[] = []
  current: Stats = idleStats
  /** Throws what it returns, if anything, when these commands are applied. */
  refuse: (commands: Command[]) => Error | undefined = () => undefined
  /** Answers a ping at once, as the addon does in a batch of events. */
  answerPing: (id: string, token: number) => NativeEvent | undefined = () => undefined
  /** Signs at once, with bytes that tell what was signed and nothing more. */
  sign: (domain: string, body: Uint8Array) => Uint8Array = (domain, body) =>
    createHash('sha512').update(`${domain.length}:${domain}`).update(body).digest()
  #onEvents: (events: NativeEvent[]) => void = () => undefined

  open(config: OpenConfig, onEvents: (events: NativeEvent[]) => void): Identity {
    this.opened = config
    this.#onEvents = onEvents
    return identity
  }

  apply(commands: Command[]): void {
    const error = this.refuse(commands)
    if (error !== undefined) throw error
    this.applied.push(...commands)
    for (const command of commands) {
      const event = this.#answer(command)
      if (event !== undefined) this.report(event)
    }
  }

  #answer(command: Command): NativeEvent | undefined {
    if (command.type === 'Ping') return this.answerPing(command.id, command.token)
    if (command.type !== 'Sign') return undefined
    const signature = this.sign(command.domain, command.body)
    return { type: 'Signed', token: command.token, signature }
  }

  stats(): Stats {
    return this.current
  }

  close(): void {
    this.closed += 1
  }

  keygen(): Identity {
    return identity
  }

  derive(): Identity {
    return identity
  }

  report(...events: NativeEvent[]): void {
    this.#onEvents(events)
  }
}
