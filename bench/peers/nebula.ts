/**
 * Nebula: certificates and one YAML file per end, no lighthouse, its defaults otherwise.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from '#src/cli/demo/command.js'
import type { LabProcess } from '#src/cli/demo/lab.js'
import { buildOnce, cachedBinary, goInstallNewest } from './cache.js'
import { INNER, UNDERLAY, type Pair, type Peer } from './peer.js'
import { linkExists, settle } from './settle.js'

const NAME = 'nebula'
const MODULE = 'github.com/slackhq/nebula'
const PORT = '4242'
const DEVICE = 'nebula0'

export const nebula: Peer = {
  name: NAME,
  install: () =>
    buildOnce(NAME, (directory) =>
      goInstallNewest(directory, MODULE, [`${MODULE}/cmd/nebula`, `${MODULE}/cmd/nebula-cert`]),
    ),
  async start(pair) {
    await makeAuthority(pair.directory)
    const agents: LabProcess[] = []
    const stop = async (): Promise<void> => {
      await Promise.all(agents.map((agent) => agent.stop()))
    }
    try {
      for (const side of ['a', 'b'] as const) {
        const config = await writeConfig(pair, side)
        agents.push(pair[side].spawn(cachedBinary(NAME, 'nebula'), ['-config', config]))
      }
      await settle('its interface', agents, async () => {
        const there = await Promise.all([linkExists(pair.a, DEVICE), linkExists(pair.b, DEVICE)])
        return there.every(Boolean)
      })
    } catch (error) {
      await stop()
      throw error
    }
    return { agents, stop }
  },
}

async function makeAuthority(directory: string): Promise<void> {
  const certificate = cachedBinary(NAME, 'nebula-cert')
  await run(certificate, ['ca', '-name', 'bench'], { cwd: directory })
  for (const side of ['a', 'b'] as const) {
    await run(
      certificate,
      ['sign', '-name', side, '-networks', `${INNER[side]}/${String(INNER.prefix)}`],
      { cwd: directory },
    )
  }
}

async function writeConfig({ directory }: Pair, side: 'a' | 'b'): Promise<string> {
  const other = side === 'a' ? 'b' : 'a'
  const path = join(directory, `${side}.yml`)
  const text = `pki:
  ca: ${join(directory, 'ca.crt')}
  cert: ${join(directory, `${side}.crt`)}
  key: ${join(directory, `${side}.key`)}
static_host_map:
  "${INNER[other]}": ["${UNDERLAY[other]}:${PORT}"]
lighthouse:
  am_lighthouse: false
listen:
  host: 0.0.0.0
  port: ${PORT}
tun:
  dev: ${DEVICE}
  mtu: ${String(INNER.mtu)}
logging:
  level: error
firewall:
  outbound: [{port: any, proto: any, host: any}]
  inbound: [{port: any, proto: any, host: any}]
`
  await writeFile(path, text, { mode: 0o600 })
  return path
}
