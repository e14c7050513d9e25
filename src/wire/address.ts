/**
 * Endpoints as the mesh writes them: 4 or 16 bytes and a port on the wire, `ip:port` or `[ip]:port` inside,
 * in one spelling each (RFC 5952), so that equal endpoints are equal text.
 */
import { isIPv4 } from 'node:net'

import { parseEndpoint } from '../config/endpoint.js'
import { parsePrefix } from '../config/prefix.js'

export const PathType = { ipv4: 1, ipv6: 2, lan: 3 } as const
export type PathType = (typeof PathType)[keyof typeof PathType]

export type WireEndpoint = {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
}

/** Bytes of a literal endpoint, IPv4-mapped ones as IPv4; undefined for names and what is no endpoint. */
export function endpointToWire(text: string): WireEndpoint | undefined {
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined) return undefined
  const { host, port } = endpoint
  if (isIPv4(host)) return { address: Uint8Array.of(...host.split('.').map(Number)), port }
  const bits = parsePrefix(host)?.bits
  if (bits === undefined) return undefined
  const size = bits >> 32n === 0xffffn ? 4 : 16
  const hex = BigInt.asUintN(size * 8, bits).toString(16)
  return { address: Buffer.from(hex.padStart(size * 2, '0'), 'hex'), port }
}

function byte(address: Uint8Array, index: number): number {
  return address[index] ?? 0
}

/** RFC 5952 section 4.2: the longest run of zero groups, the first of equals, is left out. */
function ipv6Text(address: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    (byte(address, 2 * i) * 256 + byte(address, 2 * i + 1)).toString(16),
  )
  let start = 0
  let length = 1
  for (let i = 0; i < 8; i += 1) {
    let end = i
    while (groups[end] === '0') end += 1
    if (end - i > length) [start, length] = [i, end - i]
  }
  if (length === 1) return groups.join(':')
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`
}

export function endpointToText({ address, port }: WireEndpoint): string {
  return address.length === 4 ? `${address.join('.')}:${port}` : `[${ipv6Text(address)}]:${port}`
}

/** The one spelling of an endpoint; undefined for names and what is no endpoint. */
export function canonicalEndpoint(text: string): string | undefined {
  const wire = endpointToWire(text)
  return wire && endpointToText(wire)
}

/** Whether a peer may be told to be there: what section 4.6 of docs/PROTOCOL.md excludes may not. */
export function isUsable({ address, port }: WireEndpoint): boolean {
  if (port < 1 || port > 65_535) return false
  const first = byte(address, 0)
  if (address.length === 4) return first !== 0 && first !== 127 && first < 224
  if (address.length !== 16) return false
  const linkLocal = first === 0xfe && (byte(address, 1) & 0xc0) === 0x80
  const mapped = byte(address, 10) === 255 && address.subarray(0, 10).every((part) => part === 0)
  const zeroOrLoopback = address.subarray(0, 15).every((part) => part === 0)
  return first !== 0xff && !linkLocal && !mapped && !(zeroOrLoopback && byte(address, 15) < 2)
}

/** RFC 1918, RFC 6598, RFC 3927 and RFC 4193: reachable from the same network only. */
function isLocal(address: Uint8Array): boolean {
  const [first, second] = [byte(address, 0), byte(address, 1)]
  if (address.length === 16) return (first & 0xfe) === 0xfc
  return (
    first === 10 ||
    (first === 172 && (second & 0xf0) === 16) ||
    (first === 192 && second === 168) ||
    (first === 100 && (second & 0xc0) === 64) ||
    (first === 169 && second === 254)
  )
}

export function pathTypeOf({ address }: WireEndpoint): PathType {
  if (isLocal(address)) return PathType.lan
  return address.length === 4 ? PathType.ipv4 : PathType.ipv6
}

/** Whether only the same network reaches it; not so of what is no endpoint. */
export function isLocalEndpoint(text: string): boolean {
  const wire = endpointToWire(text)
  return wire !== undefined && pathTypeOf(wire) === PathType.lan
}

/** The network that an endpoint is in, coarsely: the /16 of IPv4, the /32 of IPv6. */
export function networkOf(text: string): string | undefined {
  const wire = endpointToWire(text)
  if (wire === undefined) return undefined
  return Buffer.from(wire.address.subarray(0, wire.address.length === 4 ? 2 : 4)).toString('hex')
}
