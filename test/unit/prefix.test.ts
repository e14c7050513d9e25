import { BlockList } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { formatEndpoint, isLiteral, parseEndpoint } from '#src/config/endpoint.js'
import { canonical, contains, overlaps, parsePrefix } from '#src/config/prefix.js'
import type { Prefix } from '#src/config/prefix.js'

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text)
  if (parsed === undefined) throw new Error(`${text} is no prefix`)
  return parsed
}

const anyPrefix = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
)

t.test('a prefix is printed with its host bits cleared', (t) => {
  t.equal(canonical(prefix('10.88.3.7/16')), '10.88.0.0/16')
  t.equal(canonical(prefix('fd00::1:2/127')), 'fd00:0:0:0:0:0:1:2/127')
  t.equal(canonical(prefix('::ffff:1.2.3.4')), '0:0:0:0:0:ffff:102:304/128')
  t.equal(canonical(prefix('0.0.0.0/0')), '0.0.0.0/0')
  t.end()
})

t.test('what is no prefix is refused', (t) => {
  for (const text of ['', '10.0.0', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/', 'fe80::1%eth0/64'])
    t.equal(parsePrefix(text), undefined, text)
  t.equal(parsePrefix('::1/129'), undefined)
  t.equal(parsePrefix('::1/1/1'), undefined)
  t.end()
})

t.test('containment agrees with the block list of Node', (t) => {
  fc.assert(
    fc.property(anyPrefix, anyPrefix, ([outer, outerLength], [inner, innerLength]) => {
      const left = prefix(`${outer}/${outerLength}`)
      const right = prefix(`${inner}/${innerLength}`)
      const family = `ipv${left.family}` as const
      const list = new BlockList()
      list.addSubnet(left.address, left.length, family)
      const expected =
        left.family === right.family &&
        left.length <= right.length &&
        list.check(right.address, family)
      t.equal(contains(left, right), expected)
      t.equal(overlaps(left, right), overlaps(right, left))
    }),
  )
  t.end()
})

t.test('endpoints are read and printed in one form', (t) => {
  for (const text of ['203.0.113.7:51820', '[2001:db8::7]:1', 'home.example.net:65535']) {
    const endpoint = parseEndpoint(text)
    t.ok(endpoint)
    if (endpoint !== undefined) t.equal(formatEndpoint(endpoint), text)
  }
  t.ok(isLiteral({ host: '::1', port: 1 }))
  t.notOk(isLiteral({ host: 'localhost', port: 1 }))
  t.end()
})

t.test('what is no endpoint is refused', (t) => {
  const wrong = ['', 'host', 'host:0', 'host:65536', '1.2.3:5', '999.1.1.1:5', '[1.2.3.4]:5']
  for (const text of [...wrong, '2001:db8::7:51820', '-x:5', 'a b:5', ':5']) {
    t.equal(parseEndpoint(text), undefined, text)
  }
  t.end()
})
