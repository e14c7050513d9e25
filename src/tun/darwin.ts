/** TUN on macOS: the place for utun; not supported yet. */
import { WhalescaleError } from '../errors.js'

export function openTun(): never {
  throw new WhalescaleError('macOS is not supported yet', {
    code: 'UnsupportedPlatform',
    remedy: 'run Whalescale on Linux',
  })
}
