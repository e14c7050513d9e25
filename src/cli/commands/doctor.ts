/** `whalescale doctor`: what is wrong or could be better here, and what to do about it. */
import { ExitCode } from '../../errors.js'
import { schemaVersion } from '../../node/views.js'
import { examine } from '../doctor/checks.js'
import type { Finding } from '../doctor/checks.js'
import { gather } from '../doctor/gather.js'
import { print, printJson } from '../target.js'
import type { Target } from '../target.js'

function lineOf({ check, verdict, what, remedy }: Finding): string {
  return `${verdict.padEnd(4)}  ${check}: ${what}${remedy === null ? '' : `; ${remedy}`}`
}

/** Exit code `failure` when a check fails, `notRunning` when there is no agent to examine. */
export async function doctor(target: Target): Promise<ExitCode> {
  const gathered = await gather(target)
  const findings = examine(gathered)
  if (target.json) printJson({ schema: schemaVersion, findings })
  else print(findings.map(lineOf).join('\n'))
  if (gathered.status === null) return ExitCode.notRunning
  return findings.some(({ verdict }) => verdict === 'fail') ? ExitCode.failure : ExitCode.ok
}
