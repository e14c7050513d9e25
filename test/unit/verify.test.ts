import t from 'tap'
import { createVerifier } from '#src/node/verify.js'

/** Test 1 of RFC 8032 signs `hello` in this domain (docs/PROTOCOL.md, section 1). */
const nodeId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const domain = 'whalescale test v1'
const body = Buffer.from('hello')
const signature = Buffer.from(
  '1d3a84d9916b6edc157a5166f4acfacd4f605f9b87873ca943e7d92f663f3ccd99e5efc742ba1fc89763d644032f992d5275a6431773ec4f5e0a2938ea5ff504',
  'hex',
)

t.test('the signature of the specification is good, again and again', (t) => {
  const verify = createVerifier()
  t.ok(verify(nodeId, domain, body, signature))
  t.ok(verify(nodeId, domain, body, signature))
  t.end()
})

t.test('another domain, body, signature or node is not', (t) => {
  const verify = createVerifier()
  const other = 'qe4xodvipulv6vvdkrtmgtd6ztfy3curwtxdpis56yhvxd6jwoka'
  t.notOk(verify(nodeId, 'whalescale test v2', body, signature))
  t.notOk(verify(nodeId, domain, Buffer.from('hallo'), signature))
  t.notOk(verify(nodeId, domain, body, Buffer.alloc(64)))
  t.notOk(verify(nodeId, domain, body, signature.subarray(1)))
  t.notOk(verify(other, domain, body, signature))
  t.notOk(verify('nobody', domain, body, signature))
  t.end()
})
