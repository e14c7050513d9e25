/** Programs that a demo cannot do without. */
import { execFileSync } from 'node:child_process'
import { WhalescaleError } from '../../errors.js'

/**
 * @param packages the Debian package of each tool
 * @throws WhalescaleError ToolMissing
 */
export function requireTools(packages: Readonly<Record<string, string>>): void {
  const missing = Object.entries(packages).filter(([tool]) => {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
      return false
    } catch {
      return true
    }
  })
  if (missing.length === 0) return
  throw new WhalescaleError(`${missing.map(([tool]) => tool).join(', ')} is missing`, {
    code: 'ToolMissing',
    remedy: `run scripts/setup, or apt-get install ${missing.map(([, name]) => name).join(' ')}`,
  })
}
