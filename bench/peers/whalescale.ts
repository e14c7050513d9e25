/**
 * Whalescale itself on one path, with the fastest cipher of the machine and with the one that every machine has.
 */
import { startAgents, whalescaleVersion } from './agents.js'
import { INNER, UNDERLAY, type Peer } from './peer.js'

function whalescalePeer(name: string, aead: 'auto' | 'ring'): Peer {
  return {
    name,
    install: whalescaleVersion,
    start: (pair) =>
      startAgents(pair, {
        endpoints: { a: [UNDERLAY.a], b: [UNDERLAY.b] },
        node: [`mtu = ${INNER.mtu}`, `aead = "${aead}"`],
      }),
  }
}

export const whalescale = whalescalePeer('whalescale', 'auto')
export const whalescaleRing = whalescalePeer('whalescale-ring', 'ring')
