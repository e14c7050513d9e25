/** `whalescale lkg` and `check`: what the cache holds, and whether a peer can be reached by others. */
import { ExitCode, WhalescaleError } from '../../errors.js'
import { schemaVersion } from '../../node/views.js'
import type { LkgView } from '../../node/views.js'
import { table } from '../format.js'
import { clientOf, print, printJson } from '../target.js'
import type { Target } from '../target.js'

const head = ['peer', 'anchor', 'address', 'interface', 'source', 'sequence', 'last success']

function rows({ peers }: LkgView): string[][] {
  return peers.flatMap(({ name, anchor, endpoints, lastSuccess }) => {
    const who = [name, anchor ? 'yes' : '-']
    if (endpoints.length === 0) return [[...who, '-', '-', '-', '-', lastSuccess ?? 'never']]
    return endpoints.map((endpoint) => [
      ...who,
      endpoint.address,
      endpoint.interface ?? '-',
      endpoint.source,
      endpoint.sequence === 0 ? '-' : String(endpoint.sequence),
      endpoint.lastSuccess ?? 'never',
    ])
  })
}

export async function lkg(target: Target): Promise<ExitCode> {
  const view = await (await clientOf(target)).lkg()
  if (target.json) printJson(view)
  else print(table(head, rows(view)))
  return ExitCode.ok
}

/** Exit code `unreachable` when the peer does not answer. */
export async function check(
  target: Target & { target: string; via?: string | undefined },
): Promise<ExitCode> {
  const via = target.via ?? null
  const client = await clientOf(target)
  try {
    const view = await client.check(target.target, via)
    const asked = view.via === null ? '' : ` by ${view.via}`
    if (target.json) printJson({ ...view, reachable: true })
    else print(`${view.peer} is reached${asked} in ${view.roundTripMs.toFixed(1)} ms`)
    return ExitCode.ok
  } catch (error) {
    if (!(error instanceof WhalescaleError) || error.code !== 'PeerUnreachable') throw error
    const unanswered = { peer: target.target, via, roundTripMs: null, reachable: false }
    if (target.json) printJson({ schema: schemaVersion, ...unanswered, reason: error.message })
    else print(error.message)
    return ExitCode.unreachable
  }
}
