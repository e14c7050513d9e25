/** The small C programs of the tests, compiled when a test needs them. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeFileSync } from 'node:fs'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import type { Bed } from '../bed/bed.js'

/** Compiles `programs/NAME.c` into the bed; returns the path of the program. */
export function compile(bed: Bed, name: string): string {
  // The tests run from build/tsc, which holds no C.
  const source = fileURLToPath(new URL(`../../../../test/e2e/programs/${name}.c`, import.meta.url))
  const program = join(bed.directory, name)
  execFileSync('cc', ['-O2', '-o', program, source])
  return program
}

export type FloodPlan = {
  readonly address: string
  readonly port: number
  /** Of 512 datagrams each; 0 is without pause. */
  readonly burstsPerSecond: number
  readonly seconds: number
}

/** Starts a flood of these datagrams, sent in turn; it prints how many it sent. */
export function flood(
  bed: Bed,
  from: Namespace,
  datagrams: readonly Buffer[],
  { address, port, burstsPerSecond, seconds }: FloodPlan,
): LabProcess {
  const file = join(bed.directory, 'datagrams')
  const framed = datagrams.flatMap((datagram) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(datagram.length)
    return [length, datagram]
  })
  writeFileSync(file, Buffer.concat(framed))
  const pace = [String(burstsPerSecond), String(seconds)]
  return from.spawn(compile(bed, 'flood'), [address, String(port), ...pace, file])
}
