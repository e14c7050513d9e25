/**
 * The one schema of the configuration file: types, defaults, checks of single values and the
 * description of every key (README table, `--help`). Rules between keys are in rules.ts.
 *
 * A refused value carries its remedy in the issue's `params`.
 */
import * as z from 'zod/mini'
import { parseEndpoint } from './endpoint.js'
import { problemOfWireguardKey, wireguardKeyOfNodeId } from './identity.js'
import { parsePrefix } from './prefix.js'

// A file is read once: compiling a parser for it takes longer than that.
z.config({ jitless: true })

/** IFNAMSIZ is 16 with its closing zero (linux/if.h). */
const longestInterfaceName = 15
/** IPv6 needs 1280 (RFC 8200 section 5), and every node has an IPv6 overlay address. */
const smallestMtu = 1280
/** The longest UDP payload over IPv4 (65507), less the 32 bytes around a sealed packet, in 16s. */
const largestMtu = 65456
/** What the reordering buffer of one peer can span (`SPAN` of `bond::reorder`). */
const deepest = 16384
/** Peers and prefixes are kept in memory and in routing tables; a home or a company fits well. */
const mostPeers = 4096
const mostPrefixes = 256
/** As many as the addon tries of one peer; more would be left aside without a word. */
const mostEndpoints = 8

type Refusal = { readonly what: string; readonly remedy: string }

function text(refuse: (value: string) => Refusal | undefined) {
  return z.string().check((context) => {
    const refusal = refuse(context.value)
    if (refusal === undefined) return
    const { what, remedy } = refusal
    context.issues.push({
      code: 'custom',
      message: what,
      params: { remedy },
      input: context.value,
      continue: true,
    })
  })
}

const shown = (value: string): string => JSON.stringify(value.slice(0, 64))

const prefix = text((value) =>
  parsePrefix(value) === undefined
    ? {
        what: `${shown(value)} is no IP prefix`,
        remedy: 'write it like "10.88.0.2/32" or "fd00::2/128"',
      }
    : undefined,
)

const endpoint = text((value) =>
  parseEndpoint(value) === undefined
    ? {
        what: `${shown(value)} is no endpoint`,
        remedy: 'write it like "203.0.113.7:51820", "[2001:db8::7]:51820" or "host.example:51820"',
      }
    : undefined,
)

const nodeId = text((value) => {
  const result = wireguardKeyOfNodeId(value)
  return 'problem' in result
    ? { what: `${shown(value)} ${result.problem}`, remedy: 'print it with "whalescale id" there' }
    : undefined
})

const wireguardKey = text((value) => {
  const problem = problemOfWireguardKey(value)
  return problem === undefined
    ? undefined
    : { what: `${shown(value)} ${problem}`, remedy: 'print it with "wg show" on the peer' }
})

const interfaceName = text((value) =>
  /^[^\s/:%]+$/.test(value) &&
  value !== '.' &&
  value !== '..' &&
  Buffer.byteLength(value) <= longestInterfaceName
    ? undefined
    : {
        what: `${shown(value)} is no interface name`,
        remedy: `use at most ${longestInterfaceName} characters without space, "/", ":" or "%"`,
      },
)

const path = text((value) =>
  value === '' || value.includes('\0')
    ? { what: `${shown(value)} is no path`, remedy: 'name a file' }
    : undefined,
)

const name = text((value) =>
  /^[\w.-]{1,63}$/.test(value)
    ? undefined
    : {
        what: `${shown(value)} is no name`,
        remedy: 'use 1 to 63 letters, digits, ".", "_" or "-"',
      },
)

/** What a signed record has room for, when the name of the node is in it already. */
const mostMetadata = 7
const longestMetadata = 160

function metadataLength(entries: Readonly<Record<string, string>>): number {
  return Object.entries(entries).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  )
}

const metadata = z
  .record(z.string().check(z.regex(/^[\w.-]{1,32}$/)), z.string().check(z.maxLength(64)))
  .check(
    z.refine(
      (entries) =>
        Object.keys(entries).length <= mostMetadata && metadataLength(entries) <= longestMetadata,
      {
        message: `it has more than ${mostMetadata} entries or ${longestMetadata} bytes`,
        params: { remedy: 'leave some out' },
      },
    ),
  )

const interfaceNames = z.array(interfaceName).check(z.maxLength(64))
const described = <Schema extends z.ZodMiniType>(schema: Schema, description: string): Schema =>
  schema.check(z.describe(description))

const node = z.strictObject({
  name: described(z.optional(name), 'name of this node, for people'),
  private_key_file: described(
    path,
    'file made by `whalescale keygen`, relative to this file, mode 0600',
  ),
  addresses: described(
    z._default(z.array(prefix).check(z.maxLength(mostPrefixes)), []),
    'overlay addresses of this node; the IPv6 address derived from the key is added by itself',
  ),
  interface: described(z._default(interfaceName, 'whale0'), 'name of the TUN device'),
  anchor: described(
    z._default(z.boolean(), false),
    'whether this node is reachable and stable, told to its peers',
  ),
  metadata: described(
    z._default(metadata, {}),
    'names and values that all peers see, such as `{ room = "attic" }`',
  ),
  listen_port: described(
    z._default(z.int().check(z.minimum(0), z.maximum(65535)), 51820),
    'UDP port, 0 for any',
  ),
  mtu: described(
    z._default(
      z.union([z.literal('auto'), z.int().check(z.minimum(smallestMtu), z.maximum(largestMtu))]),
      'auto',
    ),
    'inner MTU: "auto" discovers what the paths carry, a number is kept',
  ),
  aead: described(
    z._default(z.string().check(z.regex(/^[\w.-]{1,32}$/)), 'auto'),
    'implementation of ChaCha20-Poly1305; "auto" measures and takes the fastest',
  ),
  state_dir: described(
    z._default(path, '/var/lib/whalescale'),
    'directory for what must outlive a restart, mode 0700',
  ),
  control_socket: described(
    z._default(path, '/run/whalescale/whalescale.sock'),
    'socket of the local API, mode 0600; a read-only one, mode 0660, is beside it with `.ro` added',
  ),
})

const paths = z.strictObject({
  interfaces: described(
    z._default(interfaceNames, ['auto']),
    'interfaces to use, or "auto" for every one that is up and has an address',
  ),
  exclude: described(z._default(interfaceNames, []), 'interfaces never to use'),
  metered: described(z._default(interfaceNames, []), 'interfaces that cost money'),
})

const multipath = z.strictObject({
  scheduler: described(
    z._default(z.enum(['edpf', 'wrr', 'minrtt', 'redundant']), 'edpf'),
    'how packets are spread over the paths',
  ),
  depth: described(
    z._default(
      z.union([z.literal('auto'), z.int().check(z.minimum(1), z.maximum(deepest))]),
      'auto',
    ),
    'packets that the reordering buffer holds at most: "auto" goes by the rates and delays of the paths',
  ),
})

const peer = z.strictObject({
  name: described(z.optional(name), 'name of the peer, for people and commands'),
  node_id: described(z.optional(nodeId), 'what `whalescale id` prints on the peer'),
  wireguard_public_key: described(
    z.optional(wireguardKey),
    'instead of `node_id`, for a stock WireGuard peer',
  ),
  endpoints: described(
    z._default(z.array(endpoint).check(z.maxLength(mostEndpoints)), []),
    'where to reach it: `address:port`, `[IPv6]:port` or `name:port`',
  ),
  allowed_ips: described(
    z._default(z.array(prefix).check(z.maxLength(mostPrefixes)), []),
    'overlay prefixes that are this peer',
  ),
  anchor: described(
    z._default(z.boolean(), false),
    'whether it is reachable and stable: it is asked first where others are',
  ),
  preshared_key_file: described(
    z.optional(path),
    'file made by `wg genpsk`, relative to this file, mode 0600',
  ),
  persistent_keepalive_s: described(
    z.optional(z.int().check(z.minimum(1), z.maximum(65535))),
    'seconds between keepalives that hold a NAT mapping open',
  ),
})

export const fileSchema = z.strictObject({
  node,
  paths: z.prefault(paths, {}),
  multipath: z.prefault(multipath, {}),
  peer: z._default(z.array(peer).check(z.maxLength(mostPeers)), []),
})

/** The file as written, with defaults filled in. */
export type ConfigFile = z.infer<typeof fileSchema>

/** The tables of the file in the order of the README: heading and schema. */
export const tables = {
  '[node]': node,
  '[paths]': paths,
  '[multipath]': multipath,
  '[[peer]]': peer,
}
