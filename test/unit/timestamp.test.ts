import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeStateDirectory, readTimestamp, writeTimestamp } from '#src/node/timestamp.js'

const first = '400000006553f0e80000007b'
const second = '400000006553f0e90000007b'

t.test('there is no timestamp before the first is written', (t) => {
  t.equal(readTimestamp(t.testdir({})), undefined)
  t.end()
})

t.test('the last written timestamp is read, and only its owner can', (t) => {
  const directory = join(t.testdir({}), 'state')
  makeStateDirectory(directory)
  t.equal(statSync(directory).mode & 0o777, 0o700)
  writeTimestamp(directory, first)
  writeTimestamp(directory, second)
  t.equal(readTimestamp(directory), second)
  t.same(readdirSync(directory), ['timestamp'])
  t.equal(statSync(join(directory, 'timestamp')).mode & 0o777, 0o600)
  t.end()
})

t.test('what a killed writer left beside it is ignored', (t) => {
  const directory = t.testdir({})
  writeTimestamp(directory, first)
  writeFileSync(join(directory, 'timestamp.new'), second.slice(0, 5))
  t.equal(readTimestamp(directory), first)
  writeTimestamp(directory, second)
  t.equal(readTimestamp(directory), second)
  t.end()
})

t.test('a file that holds no timestamp is an error with a remedy', (t) => {
  const directory = t.testdir({ timestamp: 'x\n' })
  t.throws(() => readTimestamp(directory), { code: 'StateUnusable', remedy: /restore/ })
  t.end()
})
