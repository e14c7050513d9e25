/** A pair of which one side is an agent of ours and the other wireguard-go. */
import { configure, makeNode, overlayA, overlayB, port, up } from '../bed/agent.js'
import type { Agent } from '../bed/agent.js'
import { addressA, addressB } from '../bed/bed.js'
import type { Bed, Pair } from '../bed/bed.js'
import { makeStockKey, startStock } from './stock.js'
import type { Stock } from './stock.js'

export type Sides = {
  readonly weKnowTheEndpoint?: boolean
  readonly itKnowsTheEndpoint?: boolean
  readonly ourPresharedKey?: string
  readonly itsPresharedKey?: string
  readonly ourKeepalive?: number
  readonly itsKeepalive?: number
}

export type Joined = { readonly agent: Agent; readonly stock: Stock; readonly pair: Pair }

function given<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): Partial<Record<Key, Value>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<Key, Value>>
}

/** An agent at `a` and wireguard-go at `b`, which know each other as told. */
export async function agentAndStock(bed: Bed, pair: Pair, sides: Sides): Promise<Joined> {
  const node = await makeNode(bed, pair.a, 'a')
  const key = await makeStockKey(bed, pair.b)
  configure(node, {
    addresses: [`${overlayA}/24`],
    peers: [
      {
        name: 'stock',
        wireguardPublicKey: key.publicKey,
        allowedIps: [`${overlayB}/32`],
        endpoints: sides.weKnowTheEndpoint === true ? [`${addressB}:${port}`] : [],
        ...given('presharedKeyFile', sides.ourPresharedKey),
        ...given('keepaliveSeconds', sides.ourKeepalive),
      },
    ],
  })
  const [agent, stock] = await Promise.all([
    up(node),
    startStock(pair.b, key, {
      address: `${overlayB}/24`,
      peer: {
        publicKey: node.identity.wireguardPublicKey,
        allowedIps: [`${overlayA}/32`],
        ...given('endpoint', sides.itKnowsTheEndpoint === true ? `${addressA}:${port}` : undefined),
        ...given('presharedKeyFile', sides.itsPresharedKey),
        ...given('keepaliveSeconds', sides.itsKeepalive),
      },
    }),
  ])
  return { agent, stock, pair }
}
