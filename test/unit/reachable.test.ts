import fc from 'fast-check'
import t from 'tap'
import { reachableEndpoints } from '#src/node/reachable.js'

t.test('global addresses come before local ones, IPv6 before IPv4', (t) => {
  const sockets = [
    ...['192.168.1.5:51820', '203.0.113.9:51820', '[fd00::5]:51820', '[2001:db8::5]:51820'],
    ...['10.0.0.5:51820', '100.64.0.5:51820'],
  ]
  t.same(reachableEndpoints(sockets, []), [
    ...['[2001:db8::5]:51820', '203.0.113.9:51820', '192.168.1.5:51820', '[fd00::5]:51820'],
    ...['10.0.0.5:51820', '100.64.0.5:51820'],
  ])
  t.end()
})

t.test('addresses where no peer can send are left out', (t) => {
  const sockets = [
    ...['127.0.0.1:1', '169.254.3.4:1', '0.0.0.0:1', '[::1]:1', '[fe80::1]:1', '[::]:1'],
    ...['224.0.0.1:1', '[ff02::1]:1', 'home.example:1', 'nothing'],
  ]
  t.same(reachableEndpoints(sockets, []), [])
  t.end()
})

t.test('addresses inside the tunnel are left out', (t) => {
  const sockets = ['10.88.0.1:1', '192.0.2.1:1', '[fd1a:afe7:554f::1]:1']
  t.same(reachableEndpoints(sockets, ['10.88.0.0/24', 'fd1a:afe7:554f::1']), ['192.0.2.1:1'])
  t.end()
})

t.test('any texts give eight different endpoints at most', (t) => {
  const socket = fc.oneof(
    fc.string(),
    fc.ipV4().map((address) => `${address}:51820`),
  )
  fc.assert(
    fc.property(fc.array(socket, { maxLength: 40 }), (sockets) => {
      const told = reachableEndpoints(sockets, [])
      t.ok(told.length <= 8)
      t.equal(new Set(told).size, told.length)
    }),
  )
  t.end()
})
