/**
 * The only importer of the Rust addon. The addon's generated declarations are the types of what goes
 * in; what comes out is narrowed here, and what it left out becomes null, so that nothing beyond this
 * file meets a loose string or a missing field.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type * as Addon from '../native/addon/index.js'
import { ExitCode, WhalescaleError, messageOf } from './errors.js'

export type Command = Addon.Command
export type OpenConfig = Addon.OpenConfig
export type Identity = Addon.Identity

const peerStates = ['idle', 'handshaking', 'connected', 'unreachable'] as const
export type PeerState = (typeof peerStates)[number]
export type PathKind = 'direct' | 'relay'
const pathStates = ['probing', 'healthy', 'degraded', 'failed', 'standby'] as const
type PathState = (typeof pathStates)[number]

type AddonEvent = Addon.Event
type Of<Type extends AddonEvent['type']> = Extract<AddonEvent, { type: Type }>

/** The most bytes that the body of a message may have (PROTOCOL, section 4.15). */
export const messageBodyMax = 1120

/** What the addon reports; times in the unit that the name ends with. */
export type NativeEvent =
  | {
      type: 'Peer'
      id: string
      state: PeerState
      endpoint: string | null
      handshakeMs: number | null
    }
  | (Omit<Of<'Pong'>, 'kind' | 'local'> & { kind: PathKind; local: string | null })
  | Complete<Of<'Observed'>>
  | { type: 'Network'; sockets: NetworkAddress[] }
  | Of<'Restarted' | 'Timestamp' | 'PingTimeout' | 'Message' | 'Signed'>
  | Of<'Mtu' | 'Warning' | 'Fatal' | 'Dropped'>

/** The fields that the addon may leave out are null instead. */
type Complete<Value> = {
  [Key in keyof Value]-?: undefined extends Value[Key]
    ? Exclude<Value[Key], undefined> | null
    : Value[Key]
}

type NetworkAddress = Complete<Addon.NetworkAddress>
export type PathStats = Omit<Complete<Addon.PathStats>, 'kind' | 'local' | 'state'> & {
  kind: PathKind
  state: PathState
  local: string | null
}
export type PeerStats = Omit<Complete<Addon.PeerStats>, 'paths' | 'state'> & {
  state: PeerState
  paths: PathStats[]
}
type UdpStats = Complete<Addon.UdpStats>
export type Stats = Omit<Complete<Addon.Stats>, 'peers' | 'udp'> & {
  peers: PeerStats[]
  udp: UdpStats[]
}

/** The addon as the rest of the program sees it; tests pass a twin that keeps all in memory. */
export type Native = {
  open(config: OpenConfig, onEvents: (events: NativeEvent[]) => void): Identity
  /** @throws WhalescaleError with the addon's code */
  apply(commands: Command[]): void
  stats(): Stats
  close(): void
  keygen(path: string): Identity
  derive(path: string): Identity
}

function peerState(text: string): PeerState {
  return peerStates.find((state) => state === text) ?? 'idle'
}

function pathState(text: string): PathState {
  return pathStates.find((state) => state === text) ?? 'probing'
}

function pathKind(text: string): PathKind {
  return text === 'relay' ? 'relay' : 'direct'
}

function networkAddressOf({ interface: name, address }: Addon.NetworkAddress): NetworkAddress {
  return { interface: name ?? null, address }
}

function eventOf(event: AddonEvent): NativeEvent {
  switch (event.type) {
    case 'Peer':
      return {
        type: 'Peer',
        id: event.id,
        state: peerState(event.state),
        endpoint: event.endpoint ?? null,
        handshakeMs: event.handshakeMs ?? null,
      }
    case 'Pong':
      return { ...event, kind: pathKind(event.kind), local: event.local ?? null }
    case 'Observed':
      return { ...event, interface: event.interface ?? null }
    case 'Network':
      return { type: 'Network', sockets: event.sockets.map(networkAddressOf) }
    default:
      return event
  }
}

function pathOf(path: Addon.PathStats): PathStats {
  return {
    ...path,
    id: path.id ?? null,
    kind: pathKind(path.kind),
    state: pathState(path.state),
    local: path.local === '' ? null : path.local,
    interface: path.interface ?? null,
    rttMs: path.rttMs ?? null,
    jitterMs: path.jitterMs ?? null,
    lossPct: path.lossPct ?? null,
    rateMbps: path.rateMbps ?? null,
    queueMs: path.queueMs ?? null,
    rxBytes: path.rxBytes ?? null,
    weight: path.weight ?? null,
    mtu: path.mtu ?? null,
  }
}

function peerOf(peer: Addon.PeerStats): PeerStats {
  return {
    ...peer,
    overlayIpv6: peer.overlayIpv6 ?? null,
    state: peerState(peer.state),
    endpoint: peer.endpoint ?? null,
    latestHandshakeMs: peer.latestHandshakeMs ?? null,
    handshakeMs: peer.handshakeMs ?? null,
    paths: peer.paths.map(pathOf),
  }
}

/** What the addon throws is "CODE: text"; these codes have a remedy and an exit code of their own. */
const known: Record<string, { remedy: string; exitCode: ExitCode }> = {
  EADDRINUSE: {
    remedy: 'stop the program that uses the port, or set another listen_port',
    exitCode: ExitCode.usage,
  },
  EACCES: { remedy: 'run as root', exitCode: ExitCode.permission },
  EPERM: { remedy: 'run as root', exitCode: ExitCode.permission },
  EEXIST: { remedy: 'remove the file first, or name another', exitCode: ExitCode.usage },
  ENOENT: { remedy: 'check the path', exitCode: ExitCode.usage },
  EKEY: { remedy: 'make one with "whalescale keygen", mode 0600', exitCode: ExitCode.usage },
  EAEAD: { remedy: 'set aead to "auto"', exitCode: ExitCode.usage },
}

function errorOfAddon(error: unknown): WhalescaleError {
  const message = messageOf(error)
  const [, code = 'AddonFailure', text = message] =
    /^([A-Z][A-Za-z0-9]+): (.*)$/s.exec(message) ?? []
  return new WhalescaleError(text, { code, cause: error, ...known[code] })
}

function translated<Result>(call: () => Result): Result {
  try {
    return call()
  } catch (error) {
    throw errorOfAddon(error)
  }
}

/** Wraps what the built file exports. */
function nativeOf(addon: typeof Addon): Native {
  return {
    open: (config, onEvents) =>
      translated(() =>
        addon.open(config, (events) => {
          onEvents(events.map(eventOf))
        }),
      ),
    apply: (commands) => {
      translated(() => {
        addon.apply(commands)
      })
    },
    stats: () =>
      translated(() => {
        const stats = addon.stats()
        return {
          ...stats,
          ipsecMbUnavailable: stats.ipsecMbUnavailable ?? null,
          peers: stats.peers.map(peerOf),
          udp: stats.udp.map((udp) => ({ ...udp, interface: udp.interface ?? null })),
        }
      }),
    close: () => {
      translated(() => {
        addon.close()
      })
    },
    keygen: (path) => translated(() => addon.keygen(path)),
    derive: (path) => translated(() => addon.derive(path)),
  }
}

/** @throws WhalescaleError when the addon was not built for this machine */
export function loadNative(): Native {
  const file = fileURLToPath(new URL('../build/Release/whalescale.node', import.meta.url))
  if (!existsSync(file)) {
    throw new WhalescaleError(`the native addon ${file} is missing`, {
      code: 'AddonMissing',
      remedy: 'build it with: npm run build',
    })
  }
  return nativeOf(createRequire(import.meta.url)(file) as typeof Addon)
}
