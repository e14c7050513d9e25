import t from 'tap'
import { resolveEndpoints } from '#src/node/resolver.js'

t.test('literal endpoints and names keep the order of the file', async (t) => {
  const resolved = await resolveEndpoints(
    [
      { host: 'a.example', port: 1 },
      { host: '192.0.2.1', port: 2 },
    ],
    [],
    () => Promise.resolve(['192.0.2.9']),
  )
  t.same(resolved.endpoints, [
    { host: '192.0.2.9', port: 1 },
    { host: '192.0.2.1', port: 2 },
  ])
})

t.test('a name that fails is told and does not hide the others', async (t) => {
  const resolved = await resolveEndpoints(
    [
      { host: 'bad.example', port: 1 },
      { host: 'good.example', port: 1 },
    ],
    [],
    (host) =>
      host === 'bad.example' ? Promise.reject(new Error('no')) : Promise.resolve(['192.0.2.9']),
  )
  t.same(resolved, {
    endpoints: [{ host: '192.0.2.9', port: 1 }],
    failed: ['bad.example'],
    looping: [],
  })
})

t.test('a name with many addresses gives four', async (t) => {
  const addresses = Array.from({ length: 9 }, (_, index) => `192.0.2.${index}`)
  const { endpoints } = await resolveEndpoints([{ host: 'a.example', port: 1 }], [], () =>
    Promise.resolve(addresses),
  )
  t.equal(endpoints.length, 4)
})
