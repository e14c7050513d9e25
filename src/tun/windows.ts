/** TUN on Windows: the place for Wintun; not supported yet. */
import { WhalescaleError } from '../errors.js'

export function openTun(): never {
  throw new WhalescaleError('Windows is not supported yet', {
    code: 'UnsupportedPlatform',
    remedy: 'run Whalescale on Linux',
  })
}
