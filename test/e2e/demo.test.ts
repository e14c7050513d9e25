/** What a newcomer runs first. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { entry } from '../bed/bed.js'
import { unless } from './requirements.js'

type Result = { parts: { name: string; mbps: number }[] }

/** Well above what the demo itself and a build of the emulator take. */
const options = { skip: unless('iperf3', 'cargo'), timeout: 240_000 }

void t.test('one TCP flow outlives the link that the bonded demo cuts', options, async (t) => {
  const demo = ['demo', '--bond', '--seconds', '2', '--json']
  const { stdout } = await promisify(execFile)(process.execPath, [entry, ...demo])
  const { parts } = JSON.parse(stdout) as Result
  t.equal(parts.length, 3)
  for (const { name, mbps } of parts) t.ok(mbps > 1, `${name}: data arrived`)
})

void t.test('the demo leaves no network namespace behind', options, async (t) => {
  const running = promisify(execFile)(process.execPath, [entry, 'demo', '--seconds', '1', '--json'])
  const pid = String(running.child.pid)
  await running
  const { stdout } = await promisify(execFile)('ip', ['netns', 'list'])
  t.notMatch(stdout, `ws-${pid}-`)
})
