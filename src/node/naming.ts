/** Who is meant, and who must not be. */
import type { Config, PeerConfig } from '../config/config.js'
import { ExitCode, WhalescaleError } from '../errors.js'
import type { Identity } from '../native.js'

/** The peer with this name or key. @throws WhalescaleError UnknownPeer */
export function peerCalled({ peers }: Config, nameOrId: string): PeerConfig {
  const peer = peers.find(({ id, name, wireguardPublicKey }) =>
    [id, name, wireguardPublicKey].includes(nameOrId),
  )
  if (peer !== undefined) return peer
  throw new WhalescaleError(`no peer is called ${nameOrId}`, {
    code: 'UnknownPeer',
    remedy: 'see "whalescale peers"',
    exitCode: ExitCode.usage,
  })
}

/** @throws WhalescaleError BadConfig when a peer has the key of this node */
export function refuseSelf({ file, peers }: Config, identity: Identity): void {
  const self = peers.find(
    ({ wireguardPublicKey }) => wireguardPublicKey === identity.wireguardPublicKey,
  )
  if (self === undefined) return
  throw new WhalescaleError(`${file}: peer ${self.name} has the key of this node itself`, {
    code: 'BadConfig',
    remedy: 'remove that peer',
    exitCode: ExitCode.usage,
  })
}
