/** Which form of `up` the program loads: the one file of the build, or the compiler's modules. */
import { spawnSync } from 'node:child_process'
import { cpSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'

const main = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))

/** A build whose two forms say which they are, and the second at which each file was written. */
function launch(t: Test, writtenAt: Record<string, number>): unknown {
  const directory = t.testdir({
    'package.json': '{ "type": "module" }',
    'up.cjs':
      "(function () { return { start: (file) => { console.log('one file', file); return 7 } } })",
    'up.cache': 'what no V8 has compiled',
    '.tsbuildinfo': '{}',
    cli: { 'start.js': "export const start = () => { console.log('modules'); return 7 }" },
  })
  cpSync(main, join(directory, 'cli/main.js'))
  for (const [name, at] of Object.entries(writtenAt)) utimesSync(join(directory, name), at, at)
  const args = [join(directory, 'cli/main.js'), 'up', 'a.toml']
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env })
  return { status, stdout }
}

t.test('"up" comes from the one file, whatever its compiled code is worth', (t) => {
  t.same(launch(t, { '.tsbuildinfo': 1000, 'up.cjs': 1001, 'up.cache': 1001 }), {
    status: 7,
    stdout: 'one file a.toml\n',
  })
  t.end()
})

t.test('"up" comes from its modules when the compiler has written since the build', (t) => {
  t.same(launch(t, { '.tsbuildinfo': 1002, 'up.cjs': 1001, 'up.cache': 1001 }), {
    status: 7,
    stdout: 'modules\n',
  })
  t.end()
})
