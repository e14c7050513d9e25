/**
 * Names of nodes. A node id is an Ed25519 public key in 52 characters of lower-case unpadded base32
 * (RFC 4648 section 6); the WireGuard public key of that node is its X25519 image in base64.
 *
 * Only canonical, prime-order, non-identity keys are accepted, so a key has one spelling and its image
 * hides no small-order component. A and -A share one image: peers are compared by image.
 */
import { ed25519 } from '@noble/curves/ed25519.js'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
/** RFC 7748 section 5: u-coordinates live modulo this prime. */
const fieldPrime = 2n ** 255n - 19n

/** Why a key was refused, as the end of a sentence that names it. */
export type KeyProblem = string

/** 32 bytes as 52 base32 characters; the last carries one bit of the key and four zeros. */
export function encodeNodeId(key: Uint8Array): string {
  let bits = 0
  let pending = 0
  let text = ''
  for (const byte of key) {
    bits = (bits << 8) | byte
    pending += 8
    while (pending >= 5) {
      pending -= 5
      text += alphabet.charAt((bits >> pending) & 31)
    }
    bits &= (1 << pending) - 1
  }
  return pending > 0 ? text + alphabet.charAt((bits << (5 - pending)) & 31) : text
}

function decodeBase32(text: string): Uint8Array | undefined {
  if (text.length !== 52) return undefined
  const bytes = new Uint8Array(32)
  let bits = 0
  let pending = 0
  let filled = 0
  for (const character of text) {
    const value = alphabet.indexOf(character)
    if (value < 0) return undefined
    bits = (bits << 5) | value
    pending += 5
    if (pending >= 8) {
      pending -= 8
      bytes[filled++] = (bits >> pending) & 255
      bits &= (1 << pending) - 1
    }
  }
  return bits === 0 ? bytes : undefined
}

/** Whether the bytes are a key that a node may have. */
function isStrongKey(key: Uint8Array): boolean {
  try {
    // Strict decoding (zip215 = false) refuses coordinates at or above the field's prime.
    const point = ed25519.Point.fromBytes(key, false)
    return !point.is0() && point.isTorsionFree()
  } catch {
    return false
  }
}

type Image = { key: string } | { problem: KeyProblem }

function imageOf(nodeId: string): Image {
  if (/[A-Z]/.test(nodeId)) return { problem: 'is not in lower case' }
  const key = decodeBase32(nodeId)
  if (key === undefined) return { problem: 'is not 52 characters of base32 (a-z, 2-7)' }
  if (!isStrongKey(key)) return { problem: 'is not a valid Ed25519 key of prime order' }
  return { key: Buffer.from(ed25519.utils.toMontgomery(key)).toString('base64') }
}

/**
 * Images known already: one takes milliseconds, and reading a file asks for each several times. As
 * many as a file has peers at most, so that reloading for years keeps no more.
 */
const known = new Map<string, Image>()
const mostKnown = 4096

/** The X25519 image of a node id as a stock WireGuard peer configures it, or why it has none. */
export function wireguardKeyOfNodeId(nodeId: string): Image {
  const image = known.get(nodeId) ?? imageOf(nodeId)
  if (known.size >= mostKnown) known.clear()
  known.set(nodeId, image)
  return image
}

/** u-coordinates of order 1, 2, 4 and 8, reduced (RFC 7748 section 6.1 asks to refuse their output). */
const smallOrder: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  fieldPrime - 1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
])

/** Why a text is not an X25519 public key in base64, or undefined when it is one. */
export function problemOfWireguardKey(text: string): KeyProblem | undefined {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== 32 || bytes.toString('base64') !== text) {
    return 'is not 32 bytes in base64'
  }
  const u = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  if (u >= fieldPrime) return 'is not a canonical X25519 key'
  return smallOrder.has(u) ? 'is an X25519 key of small order' : undefined
}
