/**
 * Where this project is, however the bench was compiled.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { WhalescaleError } from '#src/errors.js'

/** The directory that holds Cargo's and npm's files; found upwards from this module. */
export function projectRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!(existsSync(join(directory, 'package.json')) && existsSync(join(directory, 'native')))) {
    const parent = dirname(directory)
    if (parent === directory)
      throw new WhalescaleError('the bench does not lie inside the project', {
        code: 'UnexpectedOutput',
      })
    directory = parent
  }
  return directory
}
