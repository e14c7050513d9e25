/** `whalescale check-config`: every error of a configuration at once, or what it would do. */
import { closeSecrets, openSecrets, parseConfig, readConfigText } from '../../config/load.js'
import { ExitCode } from '../../errors.js'
import { schemaVersion } from '../../node/views.js'
import { print, printJson } from '../target.js'

export function checkConfig({ file, json }: { file: string; json: boolean }): Promise<ExitCode> {
  const { config, toml } = parseConfig(readConfigText(file), file)
  closeSecrets(openSecrets(config, toml, 'all'))
  if (json) printJson({ schema: schemaVersion, file, peers: config.peers.length })
  else print(`${file} is sound: interface ${config.interface}, ${config.peers.length} peer(s)`)
  return Promise.resolve(ExitCode.ok)
}
