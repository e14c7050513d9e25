/** `whalescale paths`: one line per path of every peer, redrawn each second with `--watch`. */
import { setTimeout as delay } from 'node:timers/promises'
import { ExitCode } from '../../errors.js'
import type { PathsView } from '../../node/views.js'
import { bytes, measured, table } from '../format.js'
import { clientOf, print, printJson } from '../target.js'
import type { Target } from '../target.js'

const refreshMs = 1000
const clearScreen = '\u001b[H\u001b[2J'

const head = ['peer', 'path', 'interface', 'local', 'remote', 'kind', 'state', 'rtt', 'jitter']
const load = ['loss', 'rate', 'queue', 'weight', 'received', 'sent']

function rows(view: PathsView): string[][] {
  return view.peers.flatMap((peer) => {
    if (peer.paths.length === 0) return [[peer.name, '-', '-', '-', '-', '-', peer.state]]
    return peer.paths.map((path) => [
      peer.name,
      String(path.id),
      path.interface ?? '-',
      path.local ?? '-',
      path.remote,
      path.kind,
      path.state,
      measured(path.rttMs, 'ms', 2),
      measured(path.jitterMs, 'ms', 2),
      measured(path.lossPct, '%'),
      measured(path.rateMbps, 'Mbit/s'),
      measured(path.queueMs, 'ms'),
      measured(path.weight, '', 2),
      bytes(path.rxBytes),
      bytes(path.txBytes),
    ])
  })
}

export async function paths(target: Target & { watch: boolean }): Promise<ExitCode> {
  const client = await clientOf(target)
  const show = async (): Promise<void> => {
    const view = await client.paths()
    if (target.json) printJson(view)
    else {
      const redraw = target.watch && process.stdout.isTTY
      print((redraw ? clearScreen : '') + table([...head, ...load], rows(view)))
    }
  }
  await show()
  while (target.watch) {
    await delay(refreshMs)
    await show()
  }
  return ExitCode.ok
}
