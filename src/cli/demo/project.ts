/** Where this project's sources are, wherever the program that asks was compiled to. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { WhalescaleError } from '../../errors.js'

/** The directory that holds Cargo's and npm's files; found upwards from this module. */
export function projectRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!(existsSync(join(directory, 'package.json')) && existsSync(join(directory, 'native')))) {
    const parent = dirname(directory)
    if (parent === directory)
      throw new WhalescaleError('this needs the sources of the project, which are not here', {
        code: 'SourcesMissing',
        remedy: 'run it from a clone of the repository',
      })
    directory = parent
  }
  return directory
}
