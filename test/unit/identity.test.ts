import { ed25519 } from '@noble/curves/ed25519.js'
import fc from 'fast-check'
import t from 'tap'
import { encodeNodeId, problemOfWireguardKey, wireguardKeyOfNodeId } from '#src/config/identity.js'

const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
/** RFC 8032 section 7.1, test 1; the other two were computed from it by an independent program. */
const publicKey = bytesOf('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a')
const nodeId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const image = '2F4H7CKwrYgVN8L0TWYtGhQ8+DDFespDBdhcepD2ti4='
/** A point of order 8. */
const torsion = bytesOf('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')

t.test('a node id is the base32 of the public key', (t) => {
  t.equal(encodeNodeId(publicKey), nodeId)
  t.end()
})

t.test('the WireGuard key of a node id is its X25519 image', (t) => {
  t.same(wireguardKeyOfNodeId(nodeId), { key: image })
  t.end()
})

t.test('a key and its negative have one image', (t) => {
  const negative = ed25519.Point.fromBytes(publicKey).negate().toBytes()
  t.same(wireguardKeyOfNodeId(encodeNodeId(negative)), { key: image })
  t.end()
})

t.test('a key that is not of prime order is refused', (t) => {
  const mixed = ed25519.Point.fromBytes(publicKey).add(ed25519.Point.fromBytes(torsion))
  const identity = new Uint8Array(32).fill(1, 0, 1)
  for (const key of [torsion, mixed.toBytes(), identity]) {
    t.match(wireguardKeyOfNodeId(encodeNodeId(key)), { problem: /prime order/ })
  }
  t.end()
})

t.test('a key that is not reduced is refused', (t) => {
  // y = p + 3, which names the same point as y = 3.
  const key = bytesOf(`f0${'ff'.repeat(30)}7f`)
  t.match(wireguardKeyOfNodeId(encodeNodeId(key)), { problem: /not a valid/ })
  t.end()
})

t.test('text that is no node id tells why', (t) => {
  t.match(wireguardKeyOfNodeId(nodeId.toUpperCase()), { problem: /lower case/ })
  t.match(wireguardKeyOfNodeId(nodeId.slice(1)), { problem: /52 characters/ })
  t.match(wireguardKeyOfNodeId(`${nodeId.slice(0, 51)}b`), { problem: /52 characters/ })
  t.match(wireguardKeyOfNodeId('0'.repeat(52)), { problem: /52 characters/ })
  t.end()
})

t.test('any text and any key give a value, and a strong key survives the round trip', (t) => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      t.ok(wireguardKeyOfNodeId(text))
      problemOfWireguardKey(text)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const key = ed25519.getPublicKey(seed)
      const expected = Buffer.from(ed25519.utils.toMontgomery(key)).toString('base64')
      t.same(wireguardKeyOfNodeId(encodeNodeId(key)), { key: expected })
    }),
    { numRuns: 20 },
  )
  t.end()
})

t.test('a WireGuard key is canonical base64 of a key of large order', (t) => {
  t.equal(problemOfWireguardKey(image), undefined)
  t.match(problemOfWireguardKey(image.slice(1)), /32 bytes/)
  t.match(problemOfWireguardKey(image.replace('=', '')), /32 bytes/)
  const small = [
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=',
    '7P///////////////////////////////////////38=',
    '4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=',
    'X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=',
  ]
  for (const key of small) t.match(problemOfWireguardKey(key), /small order/)
  const unreduced = Buffer.alloc(32, 255).toString('base64')
  t.match(problemOfWireguardKey(unreduced), /canonical/)
  t.end()
})
