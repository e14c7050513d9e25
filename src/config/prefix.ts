/**
 * IP addresses and prefixes as numbers, to compare and to print in one canonical form.
 * Every function is total: text that is no address gives undefined.
 */
import { isIP } from 'node:net'

export type Prefix = {
  readonly family: 4 | 6
  /** The address as written, host bits included. */
  readonly address: string
  /** The address as a number of 32 or 128 bits, host bits included. */
  readonly bits: bigint
  /** Prefix length in bits. */
  readonly length: number
}

const width = { 4: 32, 6: 128 } as const

function ipv4Bits(text: string): bigint {
  return text.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n)
}

/** RFC 4291 section 2.2: eight groups, one run of zeros left out, the last 32 bits perhaps dotted. */
function ipv6Bits(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (dotted?.[1] !== undefined && dotted[2] !== undefined) {
    return ipv6Bits(`${dotted[1]}0:0`) | ipv4Bits(dotted[2])
  }
  const [head = '', tail] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].reduce(
    (bits, group) => (bits << 16n) | BigInt(`0x${group}`),
    0n,
  )
}

/** Eight groups without `::`, as \`canonical\` and the addon print them. */
const eightGroups = /^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$/i

/** 4, 6, or 0 for text that is no address. Node compiles its own pattern for IPv6 for milliseconds. */
function familyOf(address: string): number {
  if (eightGroups.test(address)) return 6
  return address.includes('%') ? 0 : isIP(address)
}

/** Parses `address/length`, or a bare address as a host prefix. Zone identifiers are refused. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = '', lengthText, ...rest] = text.split('/')
  const family = familyOf(address)
  if (rest.length > 0 || (family !== 4 && family !== 6)) return undefined
  const length = lengthText === undefined ? width[family] : Number(lengthText)
  const wellFormed = lengthText === undefined || /^\d{1,3}$/.test(lengthText)
  if (!wellFormed || length > width[family]) return undefined
  const bits = family === 4 ? ipv4Bits(address) : ipv6Bits(address)
  return { family, address, bits, length }
}

function network(prefix: Prefix, length: number): bigint {
  return prefix.bits >> BigInt(width[prefix.family] - length)
}

/** Whether every address of `inner` lies in `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  return (
    outer.family === inner.family &&
    outer.length <= inner.length &&
    network(outer, outer.length) === network(inner, outer.length)
  )
}

/** Whether some address lies in both. */
export function overlaps(left: Prefix, right: Prefix): boolean {
  return contains(left, right) || contains(right, left)
}

/** The prefix with its host bits cleared, in one spelling per prefix (IPv6 uncompressed groups). */
export function canonical(prefix: Prefix): string {
  const hostBits = BigInt(width[prefix.family] - prefix.length)
  const bits = (prefix.bits >> hostBits) << hostBits
  const group = (index: number, size: bigint): bigint =>
    (bits >> (BigInt(index) * size)) & ((1n << size) - 1n)
  const address =
    prefix.family === 4
      ? [3, 2, 1, 0].map((index) => group(index, 8n).toString()).join('.')
      : [7, 6, 5, 4, 3, 2, 1, 0].map((index) => group(index, 16n).toString(16)).join(':')
  return `${address}/${prefix.length}`
}
