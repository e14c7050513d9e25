/**
 * `whalescale paths`: one line per path of every peer, and one for what bonding did for a peer;
 * redrawn each second with `--watch`.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ExitCode } from '../../errors.js'
import type { PathsView } from '../../node/views.js'
import { bar, bytes, measured, table } from '../format.js'
import { clientOf, print, printJson } from '../target.js'
import type { Target } from '../target.js'

type Path = PathsView['peers'][number]['paths'][number]

const refreshMs = 1000
const clearScreen = '\u001b[H\u001b[2J'
/** Columns of a rate bar; the fastest path of all fills it. */
const barWidth = 10

const head = ['peer', 'path', 'interface', 'local', 'remote', 'kind', 'state', 'rtt', 'jitter']
const load = ['loss', 'rate', 'queue', 'weight', 'received', 'sent']

/** Bits sent on a path since the view before, in Mbit/s; null where there is none to compare with. */
function sendRate(path: Path, before: Path | undefined, elapsedMs: number): number | null {
  if (before === undefined || path.txBytes < before.txBytes) return null
  return ((path.txBytes - before.txBytes) * 8) / (elapsedMs * 1000)
}

function sameEnds(one: Path, other: Path): boolean {
  return one.local === other.local && one.remote === other.remote
}

/** What each path sends now, as a bar beside its number. */
function rateBars(view: PathsView, before: PathsView, elapsedMs: number): Map<Path, string> {
  const rates = view.peers.flatMap((peer) => {
    const old = before.peers.find(({ name }) => name === peer.name)?.paths ?? []
    return peer.paths.map((path): [Path, number | null] => [
      path,
      sendRate(
        path,
        old.find((other) => sameEnds(path, other)),
        elapsedMs,
      ),
    ])
  })
  const fastest = Math.max(...rates.map(([, rate]) => rate ?? 0))
  return new Map(
    rates.map(([path, rate]) => [
      path,
      `${bar(rate ?? 0, fastest, barWidth)} ${measured(rate, 'Mbit/s')}`,
    ]),
  )
}

function rows(view: PathsView, bars: Map<Path, string>): string[][] {
  return view.peers.flatMap((peer) => {
    if (peer.paths.length === 0) return [[peer.name, '-', '-', '-', '-', '-', peer.state]]
    return peer.paths.map((path) => [
      peer.name,
      path.id === null ? '-' : String(path.id),
      (path.interface ?? '-') + (path.metered ? ' (metered)' : ''),
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
      path.rxBytes === null ? '-' : bytes(path.rxBytes),
      bytes(path.txBytes),
      ...(bars.has(path) ? [bars.get(path) ?? ''] : []),
    ])
  })
}

/**
 * The table of all paths.
 * @param before an earlier view, which gives the rates of `--watch`, and how long ago it was
 */
export function pathsTable(
  view: PathsView,
  before?: { readonly view: PathsView; readonly elapsedMs: number },
): string {
  const bars =
    before === undefined ? new Map<Path, string>() : rateBars(view, before.view, before.elapsedMs)
  const titles = [...head, ...load, ...(before === undefined ? [] : ['sending'])]
  return table(titles, rows(view, bars))
}

/** What bonding has done for a peer so far; nothing while it had nothing to do. */
function bondLine(peer: PathsView['peers'][number]): string[] {
  const counters = [
    ['held', peer.reorderHeld],
    ['timed out', peer.reorderTimeouts],
    ['repaired', peer.repaired],
    ['duplicated', peer.duplicates],
    ['late', peer.late],
  ] as const
  if (counters.every(([, count]) => (count ?? 0) === 0)) return []
  const counted = counters.map(([what, count]) => `${what} ${count ?? '-'}`).join(', ')
  return [`${peer.name}: ${peer.scheduler}, inner MTU ${peer.innerMtu}; packets ${counted}`]
}

/** One line for each peer with something to tell, after an empty one. */
export function bondLines({ peers }: PathsView): string {
  const lines = peers.flatMap(bondLine)
  return lines.length === 0 ? '' : `\n\n${lines.join('\n')}`
}

export async function paths(target: Target & { watch: boolean }): Promise<ExitCode> {
  const client = await clientOf(target)
  let before: { view: PathsView; at: number } | undefined
  const show = async (): Promise<void> => {
    const view = await client.paths()
    const at = performance.now()
    if (target.json) printJson(view)
    else {
      const redraw = target.watch && process.stdout.isTTY
      const last = before && { view: before.view, elapsedMs: at - before.at }
      print((redraw ? clearScreen : '') + pathsTable(view, last) + bondLines(view))
    }
    before = { view, at }
  }
  await show()
  while (target.watch) {
    await delay(refreshMs)
    await show()
  }
  return ExitCode.ok
}
