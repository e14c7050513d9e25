/** What must hold between the keys of a configuration whose single values are all well formed. */
import { imageOfPeer } from './config.js'
import { isLiteral, parseEndpoint } from './endpoint.js'
import { contains, overlaps, parsePrefix } from './prefix.js'
import type { Prefix } from './prefix.js'
import type { ConfigFile } from './schema.js'
import type { KeyPath } from './toml.js'

export type Problem = {
  readonly path: KeyPath
  readonly what: string
  readonly remedy: string
}

type Claim = { readonly peer: number; readonly path: KeyPath; readonly prefix: Prefix }

const labelOf = (file: ConfigFile, index: number): string =>
  file.peer[index]?.name ?? `number ${index + 1}`

function claimsOf(file: ConfigFile): Claim[] {
  return file.peer.flatMap((peer, index) =>
    peer.allowed_ips.flatMap((text, position) => {
      const prefix = parsePrefix(text)
      const path = ['peer', index, 'allowed_ips', position]
      return prefix === undefined ? [] : [{ peer: index, path, prefix }]
    }),
  )
}

function keyProblems(file: ConfigFile): Problem[] {
  return file.peer.flatMap((peer, index): Problem[] => {
    const given = [peer.node_id, peer.wireguard_public_key].filter((key) => key !== undefined)
    if (given.length === 1) return []
    const what = given.length === 0 ? 'names no key' : 'names both a node id and a WireGuard key'
    return [
      {
        path: ['peer', index],
        what: `peer ${labelOf(file, index)} ${what}`,
        remedy: 'give node_id, or wireguard_public_key for a stock WireGuard peer',
      },
    ]
  })
}

/** Peers are one when their X25519 images are (A and -A share one); names must tell them apart too. */
function duplicateProblems(file: ConfigFile): Problem[] {
  const images = new Map<string, number>()
  const names = new Map<string, number>()
  return file.peer.flatMap((peer, index): Problem[] => {
    const problems: Problem[] = []
    const image = imageOfPeer(peer)
    const twin = image === undefined ? undefined : images.get(image)
    if (twin !== undefined) {
      const key = peer.node_id === undefined ? 'wireguard_public_key' : 'node_id'
      problems.push({
        path: ['peer', index, key],
        what: `this is the key of peer ${labelOf(file, twin)} already`,
        remedy: 'remove one of the two peers',
      })
    } else if (image !== undefined) images.set(image, index)
    if (peer.name !== undefined && names.has(peer.name)) {
      problems.push({
        path: ['peer', index, 'name'],
        what: `another peer is called ${peer.name} already`,
        remedy: 'rename one of the two',
      })
    } else if (peer.name !== undefined) names.set(peer.name, index)
    return problems
  })
}

/**
 * Claims sorted by first address: an overlap then shows against the widest claim still open, so the
 * check stays n log n however many prefixes there are.
 */
function overlapProblems(file: ConfigFile, claims: readonly Claim[]): Problem[] {
  const start = ({ prefix }: Claim): bigint =>
    (prefix.bits >> BigInt((prefix.family === 4 ? 32 : 128) - prefix.length)) <<
    BigInt((prefix.family === 4 ? 32 : 128) - prefix.length)
  const sorted = [...claims].sort((left, right) => {
    if (left.prefix.family !== right.prefix.family) return left.prefix.family - right.prefix.family
    if (start(left) !== start(right)) return start(left) < start(right) ? -1 : 1
    return left.prefix.length - right.prefix.length
  })
  const problems: Problem[] = []
  let open: Claim[] = []
  for (const claim of sorted) {
    open = open.filter((other) => overlaps(other.prefix, claim.prefix))
    const rival = open.find((other) => other.peer !== claim.peer)
    if (rival !== undefined) {
      const [earlier, later] = rival.peer < claim.peer ? [rival, claim] : [claim, rival]
      const text = (of: Claim): string => `${of.prefix.address}/${of.prefix.length}`
      problems.push({
        path: later.path,
        what: `${text(later)} overlaps ${text(earlier)} of peer ${labelOf(file, earlier.peer)}`,
        remedy: 'give each address to one peer only',
      })
    }
    open.push(claim)
  }
  return problems
}

/** Traffic to an endpoint inside the tunnel would go into the tunnel, for ever. */
function loopProblems(file: ConfigFile, claims: readonly Claim[]): Problem[] {
  return file.peer.flatMap((peer, index) =>
    peer.endpoints.flatMap((text, position): Problem[] => {
      const endpoint = parseEndpoint(text)
      if (endpoint === undefined || !isLiteral(endpoint)) return []
      const host = parsePrefix(endpoint.host)
      const around = claims.find(({ prefix }) => host !== undefined && contains(prefix, host))
      if (around === undefined) return []
      return [
        {
          path: ['peer', index, 'endpoints', position],
          what: `endpoint ${text} lies inside allowed_ips of peer ${labelOf(file, around.peer)}, so the tunnel would carry itself`,
          remedy: 'use an address outside the tunnel, or narrower allowed_ips',
        },
      ]
    }),
  )
}

function ownAddressProblems(file: ConfigFile, claims: readonly Claim[]): Problem[] {
  return file.node.addresses.flatMap((text, position): Problem[] => {
    const address = parsePrefix(text.split('/')[0] ?? '')
    const taken = claims.find(
      ({ prefix }) =>
        address !== undefined && contains(address, prefix) && contains(prefix, address),
    )
    if (taken === undefined) return []
    return [
      {
        path: ['node', 'addresses', position],
        what: `${text} is given to peer ${labelOf(file, taken.peer)} too`,
        remedy: 'give each node an address of its own',
      },
    ]
  })
}

/** Every broken rule; empty when the file is sound. */
export function problemsBetween(file: ConfigFile): Problem[] {
  const claims = claimsOf(file)
  return [
    ...keyProblems(file),
    ...duplicateProblems(file),
    ...overlapProblems(file, claims),
    ...loopProblems(file, claims),
    ...ownAddressProblems(file, claims),
  ]
}
