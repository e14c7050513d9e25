/**
 * Every peer of the bench, in the order of their first turn and of the tables.
 */
import { nebula } from './nebula.js'
import type { Peer } from './peer.js'
import { rawVeth } from './raw.js'
import { boringtun, gotatun, tailscaleFork, wireguardGo } from './wireguard.js'
import { whalescale, whalescaleRing } from './whalescale.js'

export const ALL_PEERS: readonly Peer[] = [
  rawVeth,
  whalescale,
  whalescaleRing,
  tailscaleFork,
  wireguardGo,
  gotatun,
  nebula,
  boringtun,
]
