/** A directory for keys, configurations and sockets that is gone after `use`, and also when a signal ends the bench. */
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export async function withDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'whalescale-bench-'))
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true })
  }
  process.on('exit', remove)
  try {
    return await use(directory)
  } finally {
    process.off('exit', remove)
    remove()
  }
}
