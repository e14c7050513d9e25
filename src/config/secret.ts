/** Files that hold a secret: opened once, judged by what was opened, handed on as a descriptor. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { systemCode } from '../errors.js'

export type Refusal = { readonly what: string; readonly remedy: string; readonly denied?: boolean }

/** A descriptor of the file (close it), or why it must not be used. */
export function openSecret(path: string): { readonly fd: number } | { readonly refusal: Refusal } {
  let fd: number
  try {
    // Without O_NONBLOCK, opening a FIFO would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    return { refusal: refusalOf(path, systemCode(error)) }
  }
  const { mode } = fstatSync(fd)
  const shown = `0${(mode & 0o777).toString(8)}`
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
    closeSync(fd)
    return {
      refusal: { what: `${path} is not a regular file`, remedy: 'name the key file itself' },
    }
  }
  if ((mode & 0o077) !== 0) {
    closeSync(fd)
    const what = `${path} is open to others (mode ${shown})`
    return { refusal: { what, remedy: `run: chmod 600 ${path}` } }
  }
  return { fd }
}

function refusalOf(path: string, code: string | undefined): Refusal {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return {
        what: `${path} does not exist`,
        remedy: `make it with: whalescale keygen --out ${path}`,
      }
    case 'EACCES':
    case 'EPERM':
      return {
        what: `${path} may not be read`,
        remedy: 'run as its owner or as root',
        denied: true,
      }
    default:
      return { what: `${path} cannot be opened (${code ?? 'unknown error'})`, remedy: 'check it' }
  }
}
