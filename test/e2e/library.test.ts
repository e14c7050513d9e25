/** The package as a library: the example of the README, word for word, as a program of its own. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { configure, makeNode, overlayA } from '../bed/agent.js'
import { finished, makeBed } from '../bed/bed.js'
import { unless } from './requirements.js'

const root = new URL('../../../../', import.meta.url)

function example(): string {
  const readme = readFileSync(new URL('README.md', root), 'utf8')
  const [, code] = /<!-- example -->\n```js\n([^]*?)```/.exec(readme) ?? []
  if (code === undefined) throw new Error('README.md has no example')
  return code
}

void t.test('the example of the README runs', { skip: unless(), timeout: 200_000 }, async (t) => {
  const bed = await makeBed(t)
  const namespace = await bed.namespace('a')
  const node = await makeNode(bed, namespace, 'a')
  const other = await makeNode(bed, namespace, 'other')
  const peers = [{ name: 'other', nodeId: other.identity.nodeId, allowedIps: ['10.99.0.1/32'] }]
  configure(node, { addresses: [`${overlayA}/24`], peers })
  // Inside the package its own name can be imported.
  const program = fileURLToPath(new URL(`build/tsc/example-${process.pid}.mjs`, root))
  t.teardown(() => {
    rmSync(program, { force: true })
  })
  writeFileSync(program, example().replace('/etc/whalescale/config.toml', node.configFile))
  const { code, stdout, stderr } = await finished(namespace.spawn(process.execPath, [program]))
  t.equal(stderr, '')
  t.match(stdout, 'joined with 1 peers')
  t.equal(code, 0)
})
