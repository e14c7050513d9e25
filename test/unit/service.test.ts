import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { tellServiceManager } from '#src/node/service.js'
import { listenForDatagrams } from '../twins/datagrams.js'
import { logTwin } from '../twins/log.js'

const needsLinux = process.platform === 'linux' ? {} : { skip: 'needs Linux' }

for (const kind of ['a path', 'an abstract name'] as const) {
  t.test(`a manager behind ${kind} hears the state, once each`, needsLinux, async (t) => {
    // The directory of a test has a name too long for a socket.
    const directory = mkdtempSync(join(tmpdir(), 'whalescale-'))
    const address = kind === 'a path' ? join(directory, 'notify') : `@whalescale-${process.pid}`
    const datagrams = listenForDatagrams(address)
    t.teardown(() => {
      datagrams.close()
      rmSync(directory, { recursive: true })
    })
    const log = logTwin()
    await tellServiceManager('READY', log, address)
    await tellServiceManager('STOPPING', log, address)
    t.equal(datagrams.next(), 'READY=1')
    t.equal(datagrams.next(), 'STOPPING=1')
    t.equal(datagrams.next(), undefined)
    t.same(log.lines, [])
  })
}

t.test('a manager that is gone is a warning, no failure', needsLinux, async (t) => {
  const log = logTwin()
  await tellServiceManager('READY', log, '@whalescale-nobody')
  t.same(log.lines, [{ level: 'warn', message: 'the service manager was not told' }])
})
