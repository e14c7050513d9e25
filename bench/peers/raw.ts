/**
 * No tunnel at all: a second veth with the tunnel's MTU. The ceiling of the machine.
 */
import { run } from '#src/cli/demo/command.js'
import { INNER, type Peer } from './peer.js'

const DEVICE = 'raw0'

export const rawVeth: Peer = {
  name: 'raw-veth',
  async install() {
    const { stdout } = await run('uname', ['-r'])
    return `kernel ${stdout.trim()}`
  },
  async start({ a, b }) {
    const mtu = String(INNER.mtu)
    await a.exec('ip', [
      'link',
      'add',
      DEVICE,
      'mtu',
      mtu,
      'type',
      'veth',
      'peer',
      'name',
      DEVICE,
      'mtu',
      mtu,
      'netns',
      b.name,
    ])
    for (const [end, address] of [
      [a, INNER.a],
      [b, INNER.b],
    ] as const) {
      await end.exec('ip', ['address', 'add', `${address}/${String(INNER.prefix)}`, 'dev', DEVICE])
      await end.exec('ip', ['link', 'set', DEVICE, 'up'])
    }
    return {
      agents: [],
      async stop() {
        await a.exec('ip', ['link', 'delete', DEVICE])
      },
    }
  },
}
