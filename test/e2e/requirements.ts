/** What an end-to-end test needs of the machine. A test that cannot run says why; it never vanishes. */
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

function isInstalled(tool: string): boolean {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'].some((directory) => {
    try {
      accessSync(join(directory, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Why a test cannot run here, for tap's `skip`; false when it can. */
export function unless(...tools: readonly string[]): string | false {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.geteuid?.() !== 0) return 'needs root, for network namespaces'
  const absent = ['ip', 'ping', ...tools].filter((tool) => !isInstalled(tool))
  return absent.length === 0 ? false : `needs ${absent.join(', ')}: run scripts/setup as root`
}
